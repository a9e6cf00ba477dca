// What a command of haft's cannot do: a sentence for its user, with the next step, instead of a stack trace.

export class Problem extends Error {}
