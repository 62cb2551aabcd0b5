// Ten schemas with the features of real apps' (their kinds, not their text): composite ids, models without @id, several
// implicit many-to-many relations, self relations, circles of two, four and five foreign keys, eighty models, hundreds of
// @map, many files, many enums, every scalar.

const head = 'datasource db {\n  provider = "sqlite"\n}\n'
const range = (length: number) => Array.from({ length }, (_, index) => index)

/** By name; each is the content of one or more files. */
export const realSchemas: Record<string, string[]> = {
  'scheduling: composite ids, several many-to-many': [
    `${head}
model Account {
  id       Int      @id @default(autoincrement())
  email    String   @unique
  name     String?
  timeZone String   @default("Europe/London")
  teams    Membership[]
  types    EventType[] @relation("hosts")
  owned    EventType[] @relation("owner")
  bookings Attendee[]
}
model Team {
  id      Int    @id @default(autoincrement())
  slug    String @unique
  parent  Team?  @relation("children", fields: [parentId], references: [id])
  parentId Int?
  children Team[] @relation("children")
  members Membership[]
  labels  Label[]
}
model Membership {
  account   Account @relation(fields: [accountId], references: [id])
  accountId Int
  team      Team    @relation(fields: [teamId], references: [id])
  teamId    Int
  role      Role    @default(MEMBER)
  accepted  Boolean @default(false)
  @@id([accountId, teamId])
}
enum Role {
  MEMBER
  ADMIN @map("admin")
  OWNER @map("owner")
}
model EventType {
  id       Int       @id @default(autoincrement())
  slug     String
  owner    Account   @relation("owner", fields: [ownerId], references: [id])
  ownerId  Int
  hosts    Account[] @relation("hosts")
  labels   Label[]
  bookings Booking[]
  metadata Json?
  @@unique([ownerId, slug])
}
model Label {
  id    Int         @id @default(autoincrement())
  text  String      @unique
  types EventType[]
  teams Team[]
}
model Booking {
  uid       String    @id
  type      EventType @relation(fields: [typeId], references: [id])
  typeId    Int
  startsAt  DateTime
  attendees Attendee[]
}
model Attendee {
  booking    Booking  @relation(fields: [bookingUid], references: [uid])
  bookingUid String
  no         Int
  account    Account? @relation(fields: [accountId], references: [id])
  accountId  Int?
  @@id([bookingUid, no])
}`,
  ],
  'finance: decimals, upserted symbols, keys of keys': [
    `${head}
model Person {
  id       String    @id
  accounts Wallet[]
  orders   Order[]
}
model Wallet {
  id       String
  person   Person  @relation(fields: [personId], references: [id])
  personId String
  balance  Decimal
  currency String?
  orders   Order[]
  @@id([id, personId])
}
model Order {
  id           String   @id
  person       Person   @relation(fields: [personId], references: [id])
  personId     String
  wallet       Wallet?  @relation(fields: [walletId, walletPerson], references: [id, personId])
  walletId     String?
  walletPerson String?
  symbol       Symbol   @relation(fields: [symbolId], references: [id])
  symbolId     String
  quantity     Float
  unitPrice    Decimal
  fee          Decimal?
  date         DateTime
  isDraft      Boolean  @default(false)
  tags         Tag[]
}
model Symbol {
  id       String  @id
  source   Source
  code     String
  extra    Json?
  orders   Order[]
  prices   Price[]
  @@unique([source, code])
}
model Price {
  symbol   Symbol   @relation(fields: [symbolId], references: [id])
  symbolId String
  at       DateTime
  value    Decimal
  @@unique([symbolId, at])
}
model Tag {
  id     String  @id
  name   String  @unique
  orders Order[]
}
enum Source {
  YAHOO
  MANUAL @map("manual source")
}`,
  ],
  'analytics: big counters, no natural keys': [
    `${head}
model Site {
  id     String @id @map("site_id")
  domain String? @unique
  visits Visit[]
  @@map("website")
}
model Visit {
  id      String  @id @map("visit_id")
  site    Site    @relation(fields: [siteId], references: [id])
  siteId  String  @map("site_id")
  hits    BigInt  @default(0)
  events  Event[]
  @@map("visit")
}
model Event {
  id      Int      @id @default(autoincrement())
  visit   Visit    @relation(fields: [visitId], references: [id])
  visitId String   @map("visit_id")
  at      DateTime @default(now())
  path    String
  data    Json?
  values  Value[]
  @@map("event")
}
model Value {
  id      BigInt @id
  event   Event  @relation(fields: [eventId], references: [id])
  eventId Int    @map("event_id")
  key     String
  number  Float?
  raw     Bytes?
  @@map("event_value")
}`,
  ],
  'bookmarks: trees, and three many-to-many relations': [
    `${head}
model Owner {
  id          Int          @id @default(autoincrement())
  username    String?      @unique
  email       String?      @unique
  collections Collection[]
  tags        Tag[]
  pinned      Link[]       @relation("pins")
  shared      Collection[] @relation("members")
}
model Collection {
  id       Int          @id @default(autoincrement())
  name     String
  owner    Owner        @relation(fields: [ownerId], references: [id])
  ownerId  Int
  parent   Collection?  @relation("tree", fields: [parentId], references: [id])
  parentId Int?
  children Collection[] @relation("tree")
  members  Owner[]      @relation("members")
  links    Link[]
}
model Link {
  id           Int        @id @default(autoincrement())
  url          String?
  collection   Collection @relation(fields: [collectionId], references: [id])
  collectionId Int
  tags         Tag[]
  pinnedBy     Owner[]    @relation("pins")
}
model Tag {
  id      Int    @id @default(autoincrement())
  name    String
  owner   Owner  @relation(fields: [ownerId], references: [id])
  ownerId Int
  links   Link[]
  @@unique([name, ownerId])
}`,
  ],
  'signing: models without @id, one-to-one chains': [
    `${head}
model Document {
  id         Int     @id @default(autoincrement())
  externalId String?
  data       Data    @relation(fields: [dataId], references: [id])
  dataId     String  @unique
  meta       Meta?
  recipients Recipient[]
}
model Data {
  id       String    @id
  bytes    Bytes
  document Document?
}
model Meta {
  document   Document @relation(fields: [documentId], references: [id])
  documentId Int      @unique
  subject    String?
  password   String?
}
model Recipient {
  email      String
  document   Document @relation(fields: [documentId], references: [id])
  documentId Int
  token      String   @unique
  fields     Field[]
  @@unique([documentId, email])
}
model Field {
  id        Int       @id @default(autoincrement())
  recipient Recipient @relation(fields: [token], references: [token])
  token     String
  x         Decimal
  inserted  Boolean
}`,
  ],
  'circles of two, four and five foreign keys': [
    `${head}
${circle('Two', 2)}
${circle('Four', 4)}
${circle('Five', 5)}`,
  ],
  'eighty models': [
    `${head}
${range(80)
  .map(
    (index) => `model Table${index} {
  id   Int    @id @default(autoincrement())
  name String${index % 3 === 0 ? ' @unique' : ''}
${index > 0 ? `  up   Table${index - 1}? @relation(fields: [upId], references: [id])\n  upId Int?` : ''}
${index < 79 ? `  down Table${index + 1}[]` : ''}
}`,
  )
  .join('\n')}`,
  ],
  'five hundred @map': [
    `${head}
${range(20)
  .map(
    (index) => `model Mapped${index} {
  id Int @id @default(autoincrement()) @map("the id ${index}")
${range(25)
  .map(
    (field) =>
      `  field${field} ${['String', 'Int', 'Float', 'Boolean', 'DateTime'][field % 5]}? @map("col ${field}-ü")`,
  )
  .join('\n')}
  @@map("table number ${index}")
}`,
  )
  .join('\n')}`,
  ],
  'thirteen files and nine enums': [
    `${head}${range(9)
      .map((index) => `enum Enum${index} {\n  A${index}\n  B${index} @map("b-${index}")\n}`)
      .join('\n')}`,
    ...range(12).map(
      (index) => `model Part${index} {
  id    String @id
  kind  Enum${index % 9}
  other Enum${(index + 4) % 9}?
${index > 0 ? `  prev Part${index - 1} @relation(fields: [prevId], references: [id])\n  prevId String` : ''}
${index < 11 ? `  next Part${index + 1}[]` : ''}
}`,
    ),
  ],
  'every scalar, required and optional': [
    `${head}
enum Colour {
  RED
  BLUE @map("blau")
}
model Everything {
  id Int @id @default(autoincrement())
${['String', 'Int', 'BigInt', 'Float', 'Decimal', 'Boolean', 'DateTime', 'Json', 'Bytes', 'Colour']
  .map((type) => `  a${type} ${type}\n  b${type} ${type}?`)
  .join('\n')}
}`,
  ],
}

function circle(name: string, length: number): string {
  return range(length)
    .map(
      (index) => `model ${name}${index} {
  id Int @id @default(autoincrement())
  label String
  next ${name}${(index + 1) % length}? @relation("${name}${index}", fields: [nextId], references: [id])
  nextId Int?
  back ${name}${(index + length - 1) % length}[] @relation("${name}${(index + length - 1) % length}")
}`,
    )
    .join('\n')
}
