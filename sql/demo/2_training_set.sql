-- One row a flight: how late it arrived, and what was known when it was due to leave.

--: landed
-- Planes that came down, and how late they were.
CREATE VIEW landed AS
SELECT tailnum, arrived_at, flight_id, arr_delay
FROM flights
WHERE tailnum IS NOT NULL AND arrived_at IS NOT NULL AND arr_delay IS NOT NULL;

--: departures
-- How many flights had left each airport by each instant.
CREATE VIEW departures AS
SELECT DISTINCT origin, departed_at,
       count(*) OVER (PARTITION BY origin ORDER BY departed_at) AS so_far
FROM flights
WHERE departed_at IS NOT NULL;

--: training set
CREATE VIEW training_set AS
SELECT f.flight_id, f.sched_dep_at,
       f.arr_delay,                                                -- the label
       w.observed_at AS weather_observed_at, w.temp, w.wind_speed, w.precip, w.visib,
       p.flight_id AS prev_flight_id, p.arr_delay AS prev_arr_delay,
       coalesce(d1.so_far, 0) - coalesce(d0.so_far, 0) AS departures_1h
FROM flights f
ASOF LEFT JOIN weather w       -- the latest observation, at most three hours old
  ON w.origin = f.origin AND w.observed_at <= f.sched_dep_at
 AND f.sched_dep_at - w.observed_at <= INTERVAL '3 hours'
ASOF LEFT JOIN landed p        -- the same plane's arrival before: strictly, it was down by then
  ON p.tailnum = f.tailnum AND p.arrived_at < f.sched_dep_at
ASOF LEFT JOIN departures d1   -- departures in [t - 1 h, t): those before t …
  ON d1.origin = f.origin AND d1.departed_at < f.sched_dep_at
ASOF LEFT JOIN departures d0   -- … less those before t - 1 h
  ON d0.origin = f.origin AND d0.departed_at < f.sched_dep_at - INTERVAL '1 hour';

--: copy
COPY (SELECT * FROM training_set ORDER BY flight_id) TO STDOUT WITH (FORMAT csv);

--: look
SELECT flight_id, sched_dep_at, arr_delay,
       sched_dep_at - weather_observed_at AS weather_age, temp, round(wind_speed) AS wind,
       prev_arr_delay AS prev_delay, departures_1h
FROM training_set
WHERE flight_id IN (842, 64412, 151234, 233101, 308950)
ORDER BY flight_id;
