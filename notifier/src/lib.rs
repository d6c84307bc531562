//! The notifier: decides by what happened to a message whether it is pushed, to which devices, and
//! pushes it by Web Push and FCM.
