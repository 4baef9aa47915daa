"""Relations that SQLAlchemy loads one by one as a loop touches them, within one span."""

from __future__ import annotations

from opentelemetry import trace
from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()


def name_of(order: Order) -> str:
    return order.customer.name  # touched here


def names(session: Session) -> list[str]:
    found = []
    for order in session.query(Order).order_by(Order.id):  # loop here
        found.append(name_of(order))
    return found


engine = create_engine("sqlite://", poolclass=StaticPool)
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([Order(id=one, customer=Customer(id=one, name=f"customer {one}")) for one in range(8)])
    session.commit()
with trace.get_tracer("test").start_as_current_span("orders"), Session(engine) as session:
    print(len(names(session)))
