/** The version of the page, from its package: set by the build. */
declare const __VERSION__: string;
