/** What the page says about its own updates and pushes: Arabic. */
import type en from "./texts.en.js";

const ar: typeof en = {
  updateReady: "يتوفر إصدار جديد.",
  reload: "إعادة التحميل",
  later: "لاحقًا",
  proposal: "هل تريد معرفة الرسائل الجديدة عندما تكون هذه الصفحة مغلقة؟",
  turnOn: "تشغيل الإشعارات",
  notNow: "ليس الآن",
  pushServiceAway: "تعذّر على متصفحك الوصول إلى خدمة الإشعارات. أعد المحاولة لاحقًا.",
};
export default ar;
