-- wrk's script for the ingest case: every request is the CDR of a new session, of the same length as all others.
-- Arguments after "--": the file with the template, the run's name. At the end one line of JSON for the harness.
local template, run, path
local count = 0

function init(arguments)
  local file = io.open(arguments[1], "rb")
  template = file:read("*a")
  file:close()
  run = arguments[2]
  path = wrk.path
  -- Pieces between the marks, so that a request is one concatenation.
  before, between, after = template:match("^(.-)@RECORD@(.-)@SESSION@(.*)$")
  local length = #before + #between + #after + #("CAE-" .. run .. "-00000000")
    + #("1200_" .. run .. "x00000000_0_20261121070335@bench.example")
  head = "POST " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json;charset=UTF-8\r\n"
    .. "Content-Length: " .. length .. "\r\n\r\n" .. before .. "CAE-" .. run .. "-"
  middle = between .. "1200_" .. run .. "x"
  tail = "_0_20261121070335@bench.example" .. after
end

function request()
  local number = string.format("%08d", count)
  count = count + 1
  return head .. number .. middle .. number .. tail
end

function done(summary, latency, requests)
  io.write(string.format(
    '{"answered": %d, "refused": %d, "broken": %d, "seconds": %.6f, "p50": %.3f, "p95": %.3f, "p99": %.3f}\n',
    summary.requests - summary.errors.status, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
