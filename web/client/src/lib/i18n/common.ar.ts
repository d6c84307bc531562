/** Words that every part of the page uses: Arabic. */
import type en from "./common.en.js";
import { plurals } from "./plural.js";

const plural = plurals("ar");

const ar: typeof en = {
  appName: "ناترجاك",
  back: "رجوع",
  cancel: "إلغاء",
  close: "إغلاق",
  save: "حفظ",
  copied: "تم النسخ",
  tryAgain: "إعادة المحاولة",
  loading: "جارٍ التحميل…",
  you: "أنت",
  someone: "شخص ما",
  notesToSelf: "ملاحظات لنفسي",
  group: "مجموعة",
  settings: "الإعدادات",
  details: "التفاصيل",
  online: "متصل",
  away: "بعيد",
  offline: "غير متصل",
  typing: "يكتب…",
  isTyping: (name) => `${name} يكتب…`,
  peopleTyping: (count) =>
    plural(count, {
      one: "شخص واحد يكتب…",
      two: "شخصان يكتبان…",
      few: "# أشخاص يكتبون…",
      many: "# شخصًا يكتبون…",
      other: "# شخص يكتبون…",
    }),
  lastSeen: (when) => `آخر ظهور ${when}`,
  members: (count) =>
    plural(count, {
      zero: "لا أعضاء",
      one: "عضو واحد",
      two: "عضوان",
      few: "# أعضاء",
      many: "# عضوًا",
      other: "# عضو",
    }),
  unread: (count) =>
    plural(count, {
      zero: "لا رسائل غير مقروءة",
      one: "رسالة غير مقروءة",
      two: "رسالتان غير مقروءتين",
      few: "# رسائل غير مقروءة",
      many: "# رسالة غير مقروءة",
      other: "# رسالة غير مقروءة",
    }),
  muted: "مكتومة",
  unreachable: "لا يمكن الوصول إلى الخادم. تحقق من اتصالك وأعد المحاولة.",
  signedOut: "تم تسجيل خروجك. سجّل الدخول من جديد.",
  rateLimited: (wait) =>
    wait === undefined
      ? "محاولات كثيرة جدًا. انتظر قليلًا ثم أعد المحاولة."
      : `محاولات كثيرة جدًا. أعد المحاولة بعد ${wait}.`,
  unavailable: "لا يستطيع الخادم فعل ذلك الآن. أعد المحاولة بعد دقيقة.",
  forbidden: "دورك في هذه المجموعة لا يسمح بذلك.",
  notMember: "لم تعد في هذه المحادثة.",
  notFound: "لم يعد هذا موجودًا.",
  handleTaken: "هذا المعرّف لشخص آخر. اختر غيره.",
  groupFull: "المجموعة ممتلئة ولا تقبل أعضاء جددًا.",
  lastOwner: "أنت المالك الوحيد. عيّن مالكًا آخر أولًا.",
  tooLong: "هذا النص أطول مما يقبله الخادم.",
  timeout: "تأخر الخادم في الرد. أعد المحاولة.",
  unexpected: "حدث خطأ ما. أعد المحاولة.",
};
export default ar;
