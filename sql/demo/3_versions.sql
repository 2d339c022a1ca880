-- A model was trained; then the past changed. The tag keeps what the model saw.

--: tag
CREATE TAG first_model;

--: correct
-- JFK's thermometer read 3.6 °F too low for a thousand hours from 1 June.
UPDATE weather SET temp = temp + 3.6
WHERE origin = 'JFK'
  AND observed_at >= '2013-06-01 00:00:00+00'
  AND observed_at <  TIMESTAMPTZ '2013-06-01 00:00:00+00' + INTERVAL '1000 hours';

--: copy as of
COPY (SELECT * FROM training_set FOR VERSION AS OF 'first_model' ORDER BY flight_id)
  TO STDOUT WITH (FORMAT csv);

--: copy now
COPY (SELECT * FROM training_set ORDER BY flight_id) TO STDOUT WITH (FORMAT csv);

--: changed
SELECT count(*) FILTER (WHERE today.temp IS DISTINCT FROM was.temp) AS changed,
       count(*) FILTER (WHERE f.origin = 'JFK'
           AND was.weather_observed_at >= '2013-06-01 00:00:00+00'
           AND was.weather_observed_at <  TIMESTAMPTZ '2013-06-01 00:00:00+00'
                                        + INTERVAL '1000 hours') AS met_a_corrected_hour,
       count(*) AS labels
FROM training_set today
JOIN training_set FOR VERSION AS OF 'first_model' was USING (flight_id)
JOIN flights f USING (flight_id);

--: examples
SELECT f.flight_id, f.carrier, f.flight, f.dest,
       was.temp AS temp_first_model, today.temp AS temp_today
FROM training_set today
JOIN training_set FOR VERSION AS OF 'first_model' was USING (flight_id)
JOIN flights f USING (flight_id)
WHERE today.temp IS DISTINCT FROM was.temp
ORDER BY f.flight_id
LIMIT 3;
