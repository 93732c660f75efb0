// A service that listens as those of the course do, as a member of a queue
// group: node listen.js URL GROUP COUNT SUBJECT...
// It ends after COUNT events (0: no limit), or when stdin is closed. A line on
// stdout per event: {"subject":…,"sequence":…,"deliveries":…,"text":…,"data":…}
'use strict'
const nats = require('node-nats-streaming')

const [url, queueGroupName, count, ...subjects] = process.argv.slice(2)
const stan = nats.connect('ticketing', `node-listener-${process.pid}`, { url, connectTimeout: 20000 })
let left = Number(count) || Infinity
let joining = subjects.length

const stop = () => {
  left = 0 // what still comes stays unacked, for others
  stan.close()
}
process.stdin.resume().once('end', () => { if (left > 0) stop() })
stan.on('close', (err) => {
  if (err) throw err
  process.stdin.destroy() // else it keeps the process alive
})
stan.on('connection_lost', (err) => { throw err })

stan.on('connect', () => {
  for (const subject of subjects) {
    const options = stan.subscriptionOptions()
      .setManualAckMode(true)
      .setDeliverAllAvailable()
      .setDurableName(queueGroupName)
    const subscription = stan.subscribe(subject, queueGroupName, options)

    subscription.on('ready', () => {
      if (--joining === 0) console.error(`listening to ${subjects.join(', ')}`)
    })
    subscription.on('timeout', (err) => { throw err })
    subscription.on('message', (msg) => {
      if (left === 0) return
      const text = msg.getData()
      console.log(JSON.stringify({
        subject: msg.getSubject(),
        sequence: msg.getSequence(),
        deliveries: 1 + msg.getRedeliveryCount(),
        text,
        data: JSON.parse(text)
      }))
      msg.ack()
      if (--left === 0) stop()
    })
  }
})
