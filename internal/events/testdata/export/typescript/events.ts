// The events of this catalogue, as the services written in TypeScript share
// them. What travels on an event's subject is its data, as JSON.

export enum Subjects {
  /** a ticket was put up for sale */
  TicketCreated = 'ticket:created',
  /** a ticket was changed, reserved or released */
  TicketUpdated = 'ticket:updated',
  /** a ticket was reserved */
  OrderCreated = 'order:created',
  /** a reservation was given up */
  OrderCancelled = 'order:cancelled',
  /** the time to pay for an order is over */
  ExpirationComplete = 'expiration:complete',
  /** an order was paid */
  PaymentCreated = 'payment:created',
}

export enum OrderStatus {
  Created = 'created',
  Cancelled = 'cancelled',
  AwaitingPayment = 'awaiting:payment',
  Complete = 'complete',
}

/** a ticket was put up for sale */
export interface TicketCreatedEvent {
  subject: Subjects.TicketCreated;
  data: {
    id: string;
    version?: number;
    title: string;
    price: number;
    userId: string;
  };
}

/** a ticket was changed, reserved or released */
export interface TicketUpdatedEvent {
  subject: Subjects.TicketUpdated;
  data: {
    id: string;
    version?: number;
    title: string;
    price: number;
    userId: string;
    orderId?: string;
  };
}

/** a ticket was reserved */
export interface OrderCreatedEvent {
  subject: Subjects.OrderCreated;
  data: {
    id: string;
    version: number;
    status: OrderStatus;
    userId: string;
    /** RFC 3339, such as 2030-01-02T03:04:05Z */
    expiresAt: string;
    ticket: {
      id: string;
      price: number;
    };
  };
}

/** a reservation was given up */
export interface OrderCancelledEvent {
  subject: Subjects.OrderCancelled;
  data: {
    id: string;
    version: number;
    ticket: {
      id: string;
    };
  };
}

/** the time to pay for an order is over */
export interface ExpirationCompleteEvent {
  subject: Subjects.ExpirationComplete;
  data: {
    orderId: string;
  };
}

/** an order was paid */
export interface PaymentCreatedEvent {
  subject: Subjects.PaymentCreated;
  data: {
    id: string;
    orderId: string;
    stripeId: string;
  };
}

/** Any event of the catalogue; its subject tells which. */
export type TicketingEvent =
  | TicketCreatedEvent
  | TicketUpdatedEvent
  | OrderCreatedEvent
  | OrderCancelledEvent
  | ExpirationCompleteEvent
  | PaymentCreatedEvent;
