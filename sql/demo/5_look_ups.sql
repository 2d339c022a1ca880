-- One flight by its key, through a prepared statement.

--: look up
SELECT carrier, flight, origin, dest, dep_delay, arr_delay FROM flights WHERE flight_id = $1;

--: all
COPY (SELECT carrier, flight, origin, dest, dep_delay, arr_delay FROM flights ORDER BY flight_id)
  TO STDOUT;
