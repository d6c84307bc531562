/** Texts of the panes, the list and the connection: Arabic. */
import type en from "./texts.en.js";

const ar: typeof en = {
  conversations: "المحادثات",
  search: "بحث",
  searchHint: "ابحث عن محادثات وأشخاص",
  clearSearch: "مسح البحث",
  newChat: "محادثة جديدة",
  newGroup: "مجموعة جديدة",
  draft: "مسودة:",
  youSaid: "أنت:",
  deleted: "حُذفت الرسالة",
  groupChanged: "تغيّرت المجموعة",
  waiting: "في انتظار الإرسال",
  failed: "لم تُرسل",
  sent: "أُرسلت",
  delivered: "وصلت",
  read: "قُرئت",
  noMessages: "لا رسائل بعد",
  chooseTitle: "اختر محادثة",
  chooseHint: "اختر واحدة من القائمة، أو اضغط",
  chooseOr: "للانتقال إلى أي شخص.",
  loadFailed: "تعذّر تحميل المحادثات الأقدم.",
  connection: {
    offline: "أنت غير متصل بالإنترنت. يُرسل ما تكتبه عند عودتك.",
    unreachable: "لا يمكن الوصول إلى الخادم. ما تكتبه محفوظ.",
    silent: "انقطع الاتصال دون إشعار. جارٍ الاتصال من جديد…",
    draining: "يُعاد تشغيل الخادم. جارٍ الاتصال بخادم آخر…",
    token: "جارٍ تجديد الدخول…",
    slow: "الاتصال بطيء. جارٍ اللحاق…",
    unavailable: "جزء من الخادم غير متاح. جارٍ إعادة المحاولة…",
    closed: "أُغلق الاتصال. جارٍ الاتصال من جديد…",
    connecting: "جارٍ الاتصال…",
  },
  retryIn: (wait) => `المحاولة التالية بعد ${wait}.`,
  tryNow: "حاول الآن",
};
export default ar;
