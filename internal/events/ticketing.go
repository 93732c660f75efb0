package events

import "time"

// OrderStatus is the state of an order in the ticketing services.
type OrderStatus string

// The states of an order.
const (
	OrderCreated         OrderStatus = "created"
	OrderCancelled       OrderStatus = "cancelled"
	OrderAwaitingPayment OrderStatus = "awaiting:payment"
	OrderComplete        OrderStatus = "complete"
)

// TicketCreatedEvent says that a ticket was put up for sale.
type TicketCreatedEvent struct {
	ID      string  `json:"id"`
	Version int     `json:"version,omitempty"`
	Title   string  `json:"title"`
	Price   float64 `json:"price"`
	UserID  string  `json:"userId"`
}

// TicketUpdatedEvent says that a ticket was changed, reserved or released.
type TicketUpdatedEvent struct {
	ID      string  `json:"id"`
	Version int     `json:"version,omitempty"`
	Title   string  `json:"title"`
	Price   float64 `json:"price"`
	UserID  string  `json:"userId"`
	OrderID string  `json:"orderId,omitempty"`
}

// OrderedTicket is the part of a ticket that an order's creation tells.
type OrderedTicket struct {
	ID    string  `json:"id"`
	Price float64 `json:"price"`
}

// OrderCreatedEvent says that a ticket was reserved until ExpiresAt.
type OrderCreatedEvent struct {
	ID        string        `json:"id"`
	Version   int           `json:"version"`
	Status    OrderStatus   `json:"status"`
	UserID    string        `json:"userId"`
	ExpiresAt time.Time     `json:"expiresAt"`
	Ticket    OrderedTicket `json:"ticket"`
}

// CancelledTicket names the ticket that a cancelled order frees.
type CancelledTicket struct {
	ID string `json:"id"`
}

// OrderCancelledEvent says that an order was given up and its ticket is free.
type OrderCancelledEvent struct {
	ID      string          `json:"id"`
	Version int             `json:"version"`
	Ticket  CancelledTicket `json:"ticket"`
}

// ExpirationCompleteEvent says that the time to pay for an order is over.
type ExpirationCompleteEvent struct {
	OrderID string `json:"orderId"`
}

// PaymentCreatedEvent says that an order was paid.
type PaymentCreatedEvent struct {
	ID       string `json:"id"`
	OrderID  string `json:"orderId"`
	StripeID string `json:"stripeId"`
}

// Subject returns "ticket:created".
func (TicketCreatedEvent) Subject() string { return "ticket:created" }

// Subject returns "ticket:updated".
func (TicketUpdatedEvent) Subject() string { return "ticket:updated" }

// Subject returns "order:created".
func (OrderCreatedEvent) Subject() string { return "order:created" }

// Subject returns "order:cancelled".
func (OrderCancelledEvent) Subject() string { return "order:cancelled" }

// Subject returns "expiration:complete".
func (ExpirationCompleteEvent) Subject() string { return "expiration:complete" }

// Subject returns "payment:created".
func (PaymentCreatedEvent) Subject() string { return "payment:created" }

// Ticketing returns the catalogue of the ticketing services. Contracts are
// compiled when they are first used, so the catalogue costs nothing to have.
func Ticketing() *Catalogue {
	return newCatalogue(
		define("a ticket was put up for sale", TicketCreatedEvent{
			ID: "tck_1", Version: 1, Title: "Concert", Price: 20, UserID: "usr_1"}),
		define("a ticket was changed, reserved or released", TicketUpdatedEvent{
			ID: "tck_1", Version: 2, Title: "Concert", Price: 25.5, UserID: "usr_1", OrderID: "ord_1"}),
		define("a ticket was reserved", OrderCreatedEvent{
			ID: "ord_1", Version: 1, Status: OrderCreated, UserID: "usr_2",
			ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
			Ticket:    OrderedTicket{ID: "tck_1", Price: 25.5}}),
		define("a reservation was given up", OrderCancelledEvent{
			ID: "ord_1", Version: 2, Ticket: CancelledTicket{ID: "tck_1"}}),
		define("the time to pay for an order is over", ExpirationCompleteEvent{OrderID: "ord_1"}),
		define("an order was paid", PaymentCreatedEvent{
			ID: "pay_1", OrderID: "ord_1", StripeID: "ch_1"}),
	)
}
