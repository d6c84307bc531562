/**
 * A small world of people and conversations, always the same: what pictures show and axe looks at.
 *
 * @module
 */
import { User } from "./users.js";

/** Who is there, and where they talk. */
export interface World {
  me: User;
  people: { jonas: User; priya: User; tomas: User; leila: User; sam: User };
  /** Conversations. */
  pond: string;
  hikes: string;
}

/** Lets them talk. The handles are theirs alone: a second world on a server needs an `ending` of its own for them. */
export async function populate(server: string, ending = ""): Promise<World> {
  const me = await User.signUp(server, "Mira Okafor", `mira${ending}`);
  const [jonas, priya, tomas, leila, sam] = await Promise.all([
    User.signUp(server, "Jonas Lind", `jonas${ending}`),
    User.signUp(server, "Priya Nair", `priya${ending}`),
    User.signUp(server, "Tomás Vega", `tomas${ending}`),
    User.signUp(server, "ليلى حداد", `leila${ending}`),
    User.signUp(server, "Sam Whitaker", `sam${ending}`),
  ]);
  const people = { jonas, priya, tomas, leila, sam };

  const hikes = await people.sam.group("Weekend hikes", [me, people.priya, people.jonas]);
  await people.sam.say(hikes, "Saturday looks dry. Meet at the car park by the weir?");
  await people.priya.say(hikes, "In! I bring coffee ☕");

  const leilaAndMe = people.leila.dm(me);
  await people.leila.say(leilaAndMe, "صباح الخير يا ميرا! هل وصلت الصور؟");
  await me.say(leilaAndMe, "نعم، شكرًا جزيلًا! إنها جميلة.");
  await people.leila.say(leilaAndMe, "العلجوم natterjack نادر جدًا هنا، رأينا 14 منها 🐸");

  await people.tomas.say(people.tomas.dm(me), "The permits came through. Details in my mail.");
  await me.say(me.dm(people.tomas), "Great news, thank you!");
  await me.read(me.dm(people.tomas), (await me.summary(me.dm(people.tomas))).head);
  await people.jonas.say(people.jonas.dm(me), "Do you still have the waders?");

  const pond = await me.group("Pond restoration", Object.values(people));
  const id = pond.replace("group.", "");
  await me.call("PATCH", `/v1/groups/${id}/members/${people.priya.id}`, { role: "admin" });
  await people.priya.say(pond, "Morning all! The survey from last night is in.");
  await people.priya.say(pond, "We counted 37 natterjacks at the dune slacks, 12 more than in spring.");
  const count = await people.sam.say(pond, "37! That is the best year since we started.");
  await me.say(pond, "Wonderful. Did anyone get a recording of the chorus?");
  await people.tomas.say(
    pond,
    "Yes, about twenty minutes of it. I put it here: https://example.org/recordings/dune-slacks — best with headphones, the first part is mostly wind.",
  );
  const typo = await people.jonas.say(pond, "I can bring the digger on Thrusday to clear the north scrape.");
  await people.jonas.edit(pond, typo, "I can bring the digger on Thursday to clear the north scrape.");
  await me.say(pond, "Thursday works for me. @priya can you tell the warden?", typo);
  await people.priya.say(pond, "Done. She says the gate is open from eight.");
  await people.leila.say(pond, "رائع! سأحضر الكاميرا معي.");
  await people.sam.say(pond, "🎉🐸", count);
  for (const user of Object.values(people)) await user.read(pond, (await me.summary(pond)).head);
  return { me, people, pond, hikes };
}
