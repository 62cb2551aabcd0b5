// The tables of the catalogue, as SQL. Guarantees: this is what `prisma migrate diff` makes of schema.prisma (a test
// compares); a catalogue with another version is made anew.

/** Raise it whenever the SQL changes. */
export const tablesVersion = 1

export const tablesSql = `
-- CreateTable
CREATE TABLE "Source" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "fingerprint" TEXT NOT NULL
);

-- CreateTable
CREATE TABLE "Backup" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "stem" TEXT,
    "status" TEXT NOT NULL,
    "trigger" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "createdAt" DATETIME NOT NULL,
    "durationMs" INTEGER,
    "user" TEXT NOT NULL,
    "host" TEXT NOT NULL,
    "engine" TEXT,
    "database" TEXT,
    "app" TEXT,
    "bootkeeper" TEXT,
    "prisma" TEXT,
    "fingerprint" TEXT,
    "rows" BIGINT,
    "sizeBytes" BIGINT,
    "storedBytes" BIGINT,
    "verified" BOOLEAN NOT NULL,
    "pinned" BOOLEAN NOT NULL,
    "checkedAt" DATETIME,
    "checkProblem" TEXT,
    "drilledAt" DATETIME,
    "drillProblem" TEXT,
    "errorCode" TEXT,
    "errorMessage" TEXT,
    "removed" BOOLEAN NOT NULL,
    "removedAt" DATETIME,
    "operation" TEXT,
    "manifest" TEXT
);

-- CreateTable
CREATE TABLE "File" (
    "name" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "sizeBytes" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "compression" TEXT,
    "encryption" TEXT,
    "contentBytes" BIGINT,
    "contentSha256" TEXT,
    "counts" TEXT,
    "backupId" TEXT NOT NULL,

    PRIMARY KEY ("backupId", "name"),
    CONSTRAINT "File_backupId_fkey" FOREIGN KEY ("backupId") REFERENCES "Backup" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);

-- CreateTable
CREATE TABLE "Restore" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "action" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "at" DATETIME NOT NULL,
    "durationMs" INTEGER,
    "user" TEXT NOT NULL,
    "host" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "precededBy" TEXT,
    "result" TEXT,
    "errorCode" TEXT,
    "errorMessage" TEXT
);

-- CreateIndex
CREATE UNIQUE INDEX "Backup_stem_key" ON "Backup"("stem");

-- CreateIndex
CREATE INDEX "Backup_createdAt_idx" ON "Backup"("createdAt");

-- CreateIndex
CREATE INDEX "Backup_trigger_idx" ON "Backup"("trigger");

-- CreateIndex
CREATE INDEX "Backup_status_idx" ON "Backup"("status");

-- CreateIndex
CREATE INDEX "Restore_at_idx" ON "Restore"("at");
`
