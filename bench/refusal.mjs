// What the command line cannot do, in a sentence for its user: printed without a stack.
export class Refusal extends Error {}
