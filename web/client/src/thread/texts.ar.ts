/** Words of the thread: Arabic. */
import { plurals } from "../lib/i18n/plural.js";
import type en from "./texts.en.js";

const plural = plurals("ar");

const ar: typeof en = {
  messages: "الرسائل",
  newMessages: "رسائل جديدة",
  jumpToNewest: "الانتقال إلى الأحدث",
  goToDate: "الانتقال إلى تاريخ",
  date: "التاريخ",
  go: "انتقال",
  empty: "لا رسائل بعد. اكتب أول رسالة.",
  emptyNotes: "ملاحظات لنفسك: لا يرى ما تكتبه هنا أحد سواك، على كل أجهزتك.",
  loadingOlder: "جارٍ تحميل رسائل أقدم…",
  loadFailed: "تعذّر تحميل الرسائل.",
  notThere: "لم تعد هذه الرسالة موجودة.",
  nothingSince: "لا شيء في ذلك اليوم أو بعده.",

  waiting: "في انتظار الإرسال",
  stored: "أُرسلت",
  delivered: "وصلت",
  read: "قُرئت",
  failed: "لم تُرسل",
  edited: "معدّلة",
  deleted: "رسالة محذوفة",
  changing: { edit: "التعديل في انتظار الإرسال", delete: "الحذف في انتظار الإرسال" },
  changeFailed: { edit: "لم يُرسل التعديل.", delete: "لم تُحذف الرسالة." },
  discard: "تجاهل",
  showAll: "عرض الكل",
  showLess: "عرض أقل",
  characters: (count) => `${count} حرف`,
  replyTo: (name) => `رد على ${name}`,
  quoteLoading: "رسالة",
  goToQuoted: "الانتقال إلى الرسالة المردود عليها",

  actions: "إجراءات الرسالة",
  reply: "رد",
  edit: "تعديل",
  delete: "حذف",
  copy: "نسخ النص",
  copied: "نُسخ النص",
  copyFailed: "لم يسمح المتصفح بالنسخ. حدد النص وانسخه بنفسك.",
  seenBy: (count) =>
    plural(count, {
      zero: "لم يرها أحد",
      one: "رآها شخص واحد",
      two: "رآها شخصان",
      few: "رآها # أشخاص",
      many: "رآها # شخصًا",
      other: "رآها # شخص",
    }),
  seenTitle: "من رآها",
  deleteTitle: "حذف الرسالة؟",
  deleteOwn: "سيختفي نصها لدى كل من في المحادثة. لا يمكن التراجع عن ذلك.",
  deleteOther: (name) => `سيختفي نص ${name} لدى كل من في المجموعة. لا يمكن التراجع عن ذلك.`,

  message: "الرسالة",
  placeholder: "اكتب رسالة",
  send: "إرسال",
  saveEdit: "حفظ التعديل",
  editing: "تعديل الرسالة",
  charactersLeft: (count) =>
    plural(count, {
      zero: "لم يبق أي حرف",
      one: "بقي حرف واحد",
      two: "بقي حرفان",
      few: "بقيت # أحرف",
      many: "بقي # حرفًا",
      other: "بقي # حرف",
    }),
  charactersOver: (count) =>
    plural(count, {
      one: "النص أطول من الحد بحرف واحد: اختصره لترسله",
      two: "النص أطول من الحد بحرفين: اختصره لترسله",
      few: "النص أطول من الحد بـ # أحرف: اختصره لترسله",
      many: "النص أطول من الحد بـ # حرفًا: اختصره لترسله",
      other: "النص أطول من الحد بـ # حرف: اختصره لترسله",
    }),
  notSent: (why) => `لم تُرسل. ${why}`,
  notMember: "لم تعد في هذه المجموعة، فلا يمكنك الكتابة هنا.",

  announce: (name, text) => `${name}: ${text}`,
  announceMany: (count) =>
    plural(count, {
      zero: "لا رسائل جديدة",
      one: "رسالة جديدة",
      two: "رسالتان جديدتان",
      few: "# رسائل جديدة",
      many: "# رسالة جديدة",
      other: "# رسالة جديدة",
    }),

  whomYou: "إياك",
  created: (who, title) => `أنشأ ${who} المجموعة «${title}»`,
  renamed: (who, title) => `سمّى ${who} المجموعة «${title}»`,
  added: (who, whom) => `أضاف ${who} ${whom}`,
  joined: (who) => `انضم ${who}`,
  removed: (who, whom) => `أزال ${who} ${whom}`,
  left: (who) => `غادر ${who}`,
  role: (who, whom, role) => `جعل ${who} ${whom} ${role}`,
  own: {
    created: (title) => `أنشأتَ المجموعة «${title}»`,
    renamed: (title) => `سمّيتَ المجموعة «${title}»`,
    added: (whom) => `أضفتَ ${whom}`,
    joined: "انضممتَ",
    removed: (whom) => `أزلتَ ${whom}`,
    left: "غادرتَ",
    role: (whom, role) => `جعلتَ ${whom} ${role}`,
  },
  roles: { member: "عضوًا", admin: "مشرفًا", owner: "مالكًا" },
};
export default ar;
