// `npm start`: sets the checkout up where needed, then boots, in one process, so that signals reach the boot.
import './set-up.js'

await import('../dist/start.js')
