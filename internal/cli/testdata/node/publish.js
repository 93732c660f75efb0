// A service that publishes as those of the course do, one event after the
// other: node publish.js URL
// A line on stdout per acked event: {"subject":…,"text":what was sent}
'use strict'
const nats = require('node-nats-streaming')

const ticket = { id: '5eb1', title: 'Concert', price: 20, userId: 'usr_1' }
const expiresAt = new Date(Date.UTC(2030, 0, 2, 3, 4, 5, 67))
// What JSON.stringify writes in its own way (numbers, dates, undefined, half
// a surrogate pair), and what other encoders escape.
const events = [
  ['ticket:created', ticket],
  ['ticket:created', { userId: 'usr_1', price: 0.1 + 0.2, title: 'Größe "XL" 🎫 <b>&</b> \u2028\u007f\\/\t', version: 0, id: '' }],
  ['ticket:created', { ...ticket, price: 1e21, title: '東京'.repeat(2000) }],
  ['ticket:created', { ...ticket, price: -0, title: 'half \ud83c' }],
  ['ticket:created', { ...ticket, addedLater: { deep: [null, true, 1e-7, []] } }],
  ['ticket:updated', { ...ticket, version: Number.MAX_SAFE_INTEGER, orderId: undefined }],
  ['order:created', { id: 'ord_1', version: 0, status: 'awaiting:payment', userId: 'usr_2', expiresAt, ticket: { id: '5eb1', price: 25.5 } }],
  ['order:cancelled', { id: 'ord_1', version: 1, ticket: { id: '5eb1' } }],
  ['expiration:complete', { orderId: 'ord_1' }],
  ['payment:created', { id: 'pay_1', orderId: 'ord_1', stripeId: 'ch_1' }]
]

const stan = nats.connect('ticketing', `node-publisher-${process.pid}`, { url: process.argv[2], connectTimeout: 20000 })

const publish = (subject, data) => new Promise((resolve, reject) => {
  stan.publish(subject, JSON.stringify(data), (err) => err ? reject(err) : resolve())
})

stan.on('connect', async () => {
  for (const [subject, data] of events) {
    await publish(subject, data)
    console.log(JSON.stringify({ subject, text: JSON.stringify(data) }))
  }
  stan.close()
})
