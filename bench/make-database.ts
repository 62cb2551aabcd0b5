// Makes a database of the bundled schema with made-up rows, for benchmarks and stress tests. The same number of rows
// always makes the same data: one seeded generator, no clock. One million rows are about 272 MB.

import Database from 'better-sqlite3'

export interface MadeDatabase {
  users: number
  media: number
  userMedia: number
}

/** Fills a new SQLite file at `path` with `rows` rows of UserMedia, and users and media in proportion. */
export function makeDatabase(path: string, rows: number): MadeDatabase {
  const users = Math.max(3, Math.round(rows / 1000))
  const media = Math.max(20, Math.round(rows / 8))
  if (rows > users * media) throw new Error(`${rows} rows do not fit ${users} users and ${media} media`)
  const random = seededRandom(20251120)
  const database = new Database(path)
  try {
    database.pragma('journal_mode = off')
    database.pragma('synchronous = off')
    database.pragma('cache_size = -300000')
    database.exec(tables)
    database.transaction(() => {
      insertSettings(database)
      insertUsers(database, users, random)
      insertMedia(database, media, random)
      insertUserMedia(database, rows, users, media, random)
      database.exec(indexes)
    })()
    // What an app leaves behind.
    database.pragma('synchronous = normal')
    database.pragma('journal_mode = wal')
  } finally {
    database.close()
  }
  return { users, media, userMedia: rows }
}

/** The bundled schema's DDL, as `prisma db push` makes it. */
export const schemaSql = () => `${tables}\n${indexes}`

function insertSettings(database: Database.Database): void {
  database
    .prepare(`INSERT INTO "SystemConfig" ("id", "jellyfinUrl", "tmdbApiKey", "isConfigured", "createdAt", "updatedAt")
      VALUES (1, 'http://jellyfin:8096', 'made-up-key', 1, ?, ?)`)
    .run(timestamp(0), timestamp(0))
}

function insertUsers(database: Database.Database, count: number, random: () => number): void {
  const insert = database.prepare(
    'INSERT INTO "User" ("id", "username", "movieProfile", "tvProfile", "createdAt") VALUES (?, ?, ?, ?, ?)',
  )
  for (let id = 1; id <= count; id++)
    insert.run(id, `user-${id}`, prose(random, 200), id % 4 ? prose(random, 120) : null, timestamp(id))
}

function insertMedia(database: Database.Database, count: number, random: () => number): void {
  const insert = database.prepare(`INSERT INTO "Media" ("id", "tmdbId", "mediaType", "title", "releaseYear", "overview",
    "posterUrl", "backdropUrl", "voteAverage", "language", "genres", "createdAt") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  for (let id = 1; id <= count; id++) {
    const unresolved = id % 50 === 0
    insert.run(
      id,
      unresolved ? null : 1000 + id * 7,
      id % 3 ? 'movie' : 'tv',
      `${titleOf(random)} ${id}`,
      String(1950 + Math.floor(random() * 75)),
      unresolved ? null : prose(random, 90 + Math.floor(random() * 120)),
      unresolved ? null : `https://image.example/t/p/w500/${token(random)}.jpg`,
      unresolved ? null : `https://image.example/t/p/original/${token(random)}.jpg`,
      unresolved ? null : Math.round(random() * 10_000) / 1000,
      id % 5 ? 'en' : 'ja',
      'Drama, Science Fiction, "Noir"',
      timestamp(id),
    )
  }
}

function insertUserMedia(
  database: Database.Database,
  count: number,
  users: number,
  media: number,
  random: () => number,
): void {
  const insert = database.prepare(
    'INSERT INTO "UserMedia" ("id", "userId", "mediaId", "status", "addedAt") VALUES (?, ?, ?, ?, ?)',
  )
  const statuses = ['WATCHED', 'WATCHED', 'WATCHLIST', 'BLOCKED']
  const seen = new Set<number>()
  for (let id = 1; id <= count; ) {
    const user = Math.floor(random() * users)
    const medium = Math.floor(random() * media)
    const pair = user * media + medium
    if (seen.has(pair)) continue
    seen.add(pair)
    insert.run(id, user + 1, medium + 1, statuses[Math.floor(random() * 4)], timestamp(id))
    id++
  }
}

const words =
  'the a of in and night river young detective returns city memory winter “quoted” love café years later ghost ' +
  'war machine family secret island über dream naïve hunter last first moon — train letter house mother silent 夜 🎬'
const vocabulary = words.split(' ')

function prose(random: () => number, length: number): string {
  let text = ''
  for (let word = 0; word < length; word++)
    text += `${word ? ' ' : ''}${vocabulary[Math.floor(random() * vocabulary.length)]}`
  return text
}

function titleOf(random: () => number): string {
  return prose(random, 2 + Math.floor(random() * 3))
}

function token(random: () => number): string {
  return Math.floor(random() * 2 ** 52).toString(36)
}

/** Prisma's own text form of a DateTime on SQLite. */
function timestamp(minutes: number): string {
  return `${new Date(Date.UTC(2024, 0, 1) + minutes * 61_007).toISOString().slice(0, -1)}+00:00`
}

/** mulberry32: small, fast, the same everywhere. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

// What `prisma db push` makes of prisma/schema.prisma. The indexes come last: that is ten times faster.
const tables = `
CREATE TABLE "SystemConfig" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT DEFAULT 1,
    "jellyfinUrl" TEXT,
    "jellyseerrUrl" TEXT,
    "jellyseerrApiKey" TEXT,
    "tmdbApiKey" TEXT,
    "geminiApiKey" TEXT,
    "openrouterApiKey" TEXT,
    "aiProvider" TEXT NOT NULL DEFAULT 'google',
    "aiModel" TEXT NOT NULL DEFAULT 'gemini-2.5-flash-lite',
    "isConfigured" BOOLEAN NOT NULL DEFAULT false,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" DATETIME NOT NULL
);

CREATE TABLE "User" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "username" TEXT NOT NULL,
    "movieProfile" TEXT,
    "tvProfile" TEXT,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE "Media" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "tmdbId" INTEGER,
    "mediaType" TEXT,
    "title" TEXT NOT NULL,
    "releaseYear" TEXT,
    "overview" TEXT,
    "posterUrl" TEXT,
    "backdropUrl" TEXT,
    "voteAverage" REAL,
    "language" TEXT,
    "genres" TEXT,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE "UserMedia" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "userId" INTEGER NOT NULL,
    "mediaId" INTEGER NOT NULL,
    "status" TEXT NOT NULL,
    "addedAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "UserMedia_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "UserMedia_mediaId_fkey" FOREIGN KEY ("mediaId") REFERENCES "Media" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "Session" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "userId" INTEGER NOT NULL,
    "tokenHash" TEXT NOT NULL,
    "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expiresAt" DATETIME NOT NULL,
    CONSTRAINT "Session_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
`

const indexes = `
CREATE UNIQUE INDEX "User_username_key" ON "User"("username");
CREATE UNIQUE INDEX "Media_tmdbId_key" ON "Media"("tmdbId");
CREATE INDEX "Media_title_idx" ON "Media"("title");
CREATE INDEX "UserMedia_mediaId_idx" ON "UserMedia"("mediaId");
CREATE INDEX "UserMedia_userId_status_idx" ON "UserMedia"("userId", "status");
CREATE UNIQUE INDEX "UserMedia_userId_mediaId_key" ON "UserMedia"("userId", "mediaId");
CREATE UNIQUE INDEX "Session_tokenHash_key" ON "Session"("tokenHash");
CREATE INDEX "Session_userId_idx" ON "Session"("userId");
CREATE INDEX "Session_expiresAt_idx" ON "Session"("expiresAt");
`
