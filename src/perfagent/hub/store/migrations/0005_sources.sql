-- What sources saw that is no metric, and points that were put together while the machine was loaded.

-- One kind of what a source saw, whenever it differs from what it saw before.
CREATE TABLE seen (
    time BIGINT NOT NULL, -- ns since the epoch
    source VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    content VARCHAR NOT NULL -- JSON array of objects
);

-- How the readings of a gauge that became one point were distributed. Place i > 0 holds values in
-- [2^((i-1-32768)/32), 2^((i-32768)/32)), -i those below zero, 0 what is zero.
CREATE TABLE sketches (
    series BIGINT NOT NULL,
    time BIGINT NOT NULL, -- ns since the epoch, of the point
    places INTEGER[] NOT NULL,
    counts INTEGER[] NOT NULL
);
