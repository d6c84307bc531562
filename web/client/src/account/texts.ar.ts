/** Texts of sign-in and sign-up: Arabic. */
import type en from "./texts.en.js";

const ar: typeof en = {
  logIn: "تسجيل الدخول",
  createAccount: "إنشاء حساب",
  logInInstead: "تسجيل الدخول بدلًا من ذلك",
  newHere: "جديد هنا؟",
  haveAccount: "لديك حساب بالفعل؟",
  tagline: "دردشة على خادمك أنت",
  handle: "المعرّف",
  handleHint: "من 3 إلى 32 حرفًا من a–z و0–9 و«_» و«.» و«-». به يجدك الآخرون.",
  handleInvalid: "يتكون المعرّف من 3 إلى 32 حرفًا: أحرف لاتينية صغيرة a–z وأرقام و«_» و«.» و«-».",
  name: "الاسم",
  nameHint: "ما يراه الآخرون. يمكن تغييره في أي وقت.",
  password: "كلمة المرور",
  passwordHint: "8 أحرف أو أكثر. لا أحد يستطيع استعادتها لك: احفظها في مدير كلمات المرور.",
  passwordShort: "كلمة المرور قصيرة: يلزم 8 أحرف أو أكثر.",
  show: "إظهار",
  hide: "إخفاء",
  wrong: "المعرّف أو كلمة المرور غير صحيحة.",
  fillIn: "اكتب معرّفك وكلمة مرورك.",
  working: "لحظة من فضلك…",
  language: "اللغة",
};
export default ar;
