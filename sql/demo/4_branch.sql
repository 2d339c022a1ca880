-- A backfill that nobody sees until it has been checked.

--: table
CREATE TABLE ground_speed (
    flight_id bigint PRIMARY KEY,
    mph       double precision NOT NULL
);

--: january
INSERT INTO ground_speed
SELECT flight_id, distance::float8 / air_time * 60 FROM flights
WHERE air_time IS NOT NULL AND month = 1;

--: branch
CREATE BRANCH backfill;

--: use
SET branch = 'backfill';

--: broken
-- Of every hundred flights one comes with its time in seconds and one with its time in hours.
INSERT INTO ground_speed
SELECT flight_id,
       CASE flight_id % 100 WHEN 7 THEN mph * 60 WHEN 57 THEN mph / 60 ELSE mph END
FROM (SELECT flight_id, distance::float8 / air_time * 60 AS mph FROM flights
      WHERE air_time IS NOT NULL AND month > 1) s;

--: audit
-- The rule knows airliners, not loaders.
SELECT count(*) AS rows, round(min(mph)) AS slowest, round(max(mph)) AS fastest,
       count(*) FILTER (WHERE mph NOT BETWEEN 50 AND 760) AS implausible
FROM ground_speed;

--: exactly
-- Only the demo knows which rows it broke.
SELECT count(*) FILTER (WHERE broken) AS broken,
       count(*) FILTER (WHERE found) AS found,
       count(*) FILTER (WHERE broken AND found) AS caught
FROM (SELECT s.mph NOT BETWEEN 50 AND 760 AS found,
             f.month > 1 AND f.flight_id % 100 IN (7, 57) AS broken
      FROM ground_speed s JOIN flights f USING (flight_id)) r;

--: refused
PUBLISH BRANCH backfill
  CHECK (SELECT count(*) = 0 FROM ground_speed WHERE mph NOT BETWEEN 50 AND 760);

--: leave
SET branch = 'main';

--: drop
DROP BRANCH backfill;

--: branch again
CREATE BRANCH backfill_again;

--: use again
SET branch = 'backfill_again';

--: good
INSERT INTO ground_speed
SELECT flight_id, distance::float8 / air_time * 60 FROM flights
WHERE air_time IS NOT NULL AND month > 1;

--: publish
PUBLISH BRANCH backfill_again
  CHECK (SELECT count(*) = 0 FROM ground_speed WHERE mph NOT BETWEEN 50 AND 760);

--: read
SELECT count(*) FROM ground_speed;
