// What a process that failed said last: the line of its stderr that tells what happened.
export const lastWords = (stderr) =>
  stderr.match(/^\w*Error\b.*|^FATAL ERROR.*/m)?.[0] ?? stderr.trim().split('\n').pop();
