-- What channels are to be told of incidents, and what became of it. Times are seconds since the epoch.

CREATE TABLE deliveries (
    event VARCHAR NOT NULL,
    channel VARCHAR NOT NULL,
    incident VARCHAR NOT NULL,
    happening VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    happened DOUBLE NOT NULL, -- when the hub noticed
    taken DOUBLE NOT NULL, -- when this was written first
    state VARCHAR NOT NULL, -- waiting, delivered, folded, failed, quiet
    attempts INTEGER NOT NULL,
    due DOUBLE NOT NULL, -- of the next attempt
    ended DOUBLE, -- when it was delivered or given up; the same for all that one digest tells
    error VARCHAR NOT NULL, -- of the last attempt, without secrets
    content VARCHAR NOT NULL, -- the event as JSON while it waits, "" afterwards
    PRIMARY KEY (event, channel)
);
