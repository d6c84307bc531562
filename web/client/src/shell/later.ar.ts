/** Texts of what is shown now and then: searches, the first steps, the quick switcher, the end: Arabic. */
import { plurals } from "../lib/i18n/plural.js";
import type en from "./later.en.js";

const plural = plurals("ar");

const ar: typeof en = {
  conversations: "المحادثات",
  people: "الأشخاص",
  nothingFound: (query) => `لا نتائج لـ «${query}».`,
  searchShort: "اكتب حرفين أو أكثر للبحث عن أشخاص.",
  searching: "جارٍ البحث…",
  found: (count) =>
    plural(count, {
      zero: "لا نتائج",
      one: "نتيجة واحدة",
      two: "نتيجتان",
      few: "# نتائج",
      many: "# نتيجة",
      other: "# نتيجة",
    }),
  handleHelp: "يُعثر على الأشخاص ببداية الاسم أو المعرّف.",
  welcome: (name) => `أهلًا، ${name}`,
  yourHandle: "معرّفك هو",
  copyHandle: "نسخ المعرّف",
  firstSteps: "لا أحد هنا بعد لتتحدث معه. لتغيير ذلك طريقتان:",
  inviteOthers: "أعطِ الآخرين عنوان هذه الصفحة، فينشئون حسابًا ويجدونك بمعرّفك.",
  tryAlone: "لتجربته وحدك، افتح هذه الصفحة في نافذة خاصة وأنشئ حسابًا ثانيًا وابدأ محادثة.",
  copyAddress: "نسخ العنوان",
  switcherTitle: "انتقال إلى",
  switcherHint: "اكتب اسمًا أو معرّفًا",
  switcherEmpty: "لا أحد ولا شيء بهذا الاسم.",
  stoppedTitle: {
    signed_out: "تم تسجيل خروجك",
    revoked: "أُخرج هذا الجهاز",
    too_many_connections: "مفتوح في أماكن كثيرة",
    refused: "لا يمكن لهذه الصفحة المتابعة",
  },
  stoppedText: {
    signed_out: "انتهت جلستك. سجّل الدخول للمتابعة؛ الرسائل غير المرسلة محفوظة على هذا الجهاز.",
    revoked: "أخرج أحدهم هذا الجهاز من جهاز آخر، فأُزيلت رسائله من هنا. إن لم يكن ذلك أنت فغيّر كلمة مرورك.",
    too_many_connections:
      "هذه الصفحة مفتوحة في متصفحات كثيرة في آن واحد. أغلقها في مكان آخر ثم أعد المحاولة.",
    refused: "لا يفهم الخادم هذا الإصدار من الصفحة. أعد تحميلها للحصول على الإصدار الحالي.",
  },
  logInAgain: "تسجيل الدخول من جديد",
  reload: "إعادة التحميل",
};
export default ar;
