#!/bin/sh
# What many images run on start: a plain copy, the Prisma CLI twice, an export with the client, then the app. This is
# what the boot is compared with; it guarantees nothing, and that an export failed keeps nobody from starting.
set -e

if [ -f data/app.db ]; then
  cp data/app.db data/app.db.backup
fi
npx prisma db push
npx prisma generate
npx tsx export.ts || echo "Export failed (non-critical)"

exec "$@"
