// Where this package lies. The build joins modules into a few files, but never this one into a file of a deeper folder:
// it is asked here alone.
import { fileURLToPath } from 'node:url';

/** The code that runs; ends with a slash. */
export const CODE = fileURLToPath(new URL('.', import.meta.url));
/** The whole package; ends with a slash. */
export const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
/** Where haft.h is. */
export const INCLUDE = `${PACKAGE}native/include`;
