// A seeded random source for kills and sizes: the seed is printed, and SEED=n repeats a run.

export const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** mulberry32: small, and the same on every machine. */
export function randomFrom(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
