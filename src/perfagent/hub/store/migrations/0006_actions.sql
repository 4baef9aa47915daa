-- What optimisation rules advised or did, and what came of it. Times are seconds since the epoch. `content` is what the
-- optimiser knows besides the columns that are searched; it is written before anything is asked of a process, so that
-- what must be put back is put back after any end of the hub.

CREATE TABLE actions (
    id VARCHAR NOT NULL,
    time DOUBLE NOT NULL,
    rule VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    state VARCHAR NOT NULL, -- advised, acting, acted, undoing, done, undone, failed
    effect VARCHAR NOT NULL, -- helped, no_effect, harmed, unknown, "" while it is not measured
    content VARCHAR NOT NULL -- JSON
);
