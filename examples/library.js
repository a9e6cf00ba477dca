// Loads a C library for an example. Where it is not installed, the example ends with one line that says how to install it.
import koffi from 'koffi';

/** The exit code of an example that cannot run here, as Automake's tests have it. */
export const SKIPPED = 77;

export function load(file, example, debianPackage) {
  try {
    return koffi.load(file);
  } catch (error) {
    if (!/cannot open shared object file/.test(error.message)) throw error;
    console.error(`${example} needs ${file}: apt-get install ${debianPackage}`);
    process.exit(SKIPPED);
  }
}
