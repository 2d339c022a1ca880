-- A year of flights out of New York. `asofdb demo` runs what follows, a part at a time.

--: flights
CREATE TABLE flights (
    flight_id      bigint PRIMARY KEY,
    sched_dep_at   timestamptz NOT NULL,
    departed_at    timestamptz,
    arrived_at     timestamptz,
    year           integer NOT NULL,
    month          integer NOT NULL,
    day            integer NOT NULL,
    dep_time       integer,
    sched_dep_time integer NOT NULL,
    dep_delay      integer,
    arr_time       integer,
    sched_arr_time integer NOT NULL,
    arr_delay      integer,
    carrier        text NOT NULL,
    flight         integer NOT NULL,
    tailnum        text,
    origin         text NOT NULL,
    dest           text NOT NULL,
    air_time       integer,
    distance       integer NOT NULL,
    hour           integer NOT NULL,
    minute         integer NOT NULL,
    time_hour      timestamptz NOT NULL
)
CLUSTER BY (flight_id)      -- the order rows have on disk
EVENT TIME sched_dep_at     -- when it was true
TIES (flight_id);           -- of two at the same instant the last one wins

--: weather
CREATE TABLE weather (
    origin      text NOT NULL,
    observed_at timestamptz NOT NULL,
    year        integer NOT NULL,
    month       integer NOT NULL,
    day         integer NOT NULL,
    hour        integer NOT NULL,
    temp        double precision,
    dewp        double precision,
    humid       double precision,
    wind_dir    integer,
    wind_speed  double precision,
    wind_gust   double precision,
    precip      double precision NOT NULL,
    pressure    double precision,
    visib       double precision NOT NULL
)
CLUSTER BY (origin, observed_at)    -- what an ASOF JOIN wants to read
EVENT TIME observed_at;

--: planes
CREATE TABLE planes (
    tailnum      text PRIMARY KEY,
    year         integer,
    type         text NOT NULL,
    manufacturer text NOT NULL,
    model        text NOT NULL,
    engines      integer NOT NULL,
    seats        integer NOT NULL,
    speed        integer,
    engine       text NOT NULL
);

--: airports
CREATE TABLE airports (
    faa   text PRIMARY KEY,
    name  text NOT NULL,
    lat   double precision NOT NULL,
    lon   double precision NOT NULL,
    alt   integer NOT NULL,
    tz    integer NOT NULL,
    dst   text NOT NULL,
    tzone text
);

--: airlines
CREATE TABLE airlines (
    carrier text PRIMARY KEY,
    name    text NOT NULL
);

--: copy flights
COPY flights FROM STDIN (FORMAT parquet);

--: copy weather
COPY weather FROM STDIN (FORMAT parquet);

--: copy planes
COPY planes FROM STDIN (FORMAT parquet);

--: copy airports
COPY airports FROM STDIN (FORMAT parquet);

--: copy airlines
COPY airlines FROM STDIN (FORMAT parquet);

--: busiest
SELECT a.name AS airline, count(*) AS flights,
       round(avg(f.arr_delay), 1) AS mean_delay,
       count(*) FILTER (WHERE f.departed_at IS NULL) AS cancelled
FROM flights f JOIN airlines a USING (carrier)
GROUP BY a.name
ORDER BY flights DESC
LIMIT 5;
