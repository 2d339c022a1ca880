-- The power goes while two clients write.

--: table
CREATE TABLE bookings (
    batch     integer,
    flight_id bigint,
    PRIMARY KEY (batch, flight_id)
);

--: commit
INSERT INTO bookings SELECT $1, flight_id FROM flights WHERE flight_id BETWEEN 1 AND 100;

--: load
COPY bookings FROM STDIN;

--: found
SELECT batch, count(*) FROM bookings GROUP BY batch ORDER BY batch;
