-- Paces wrk to RATE requests a second (0: as fast as it can), and prints what it counted as one line of JSON.
--
-- The schedule is open: a slot every 1/RATE seconds, taken by whichever connection is free. A slow answer makes the
-- next requests late, it does not make them fewer, so that every agent gets the same number of requests.

local rate = tonumber(os.getenv("RATE") or "0")

if rate > 0 then
   local ffi = require("ffi")
   ffi.cdef [[
      struct clock_reading { long seconds; long nanoseconds; };
      int clock_gettime(int clock, struct clock_reading *reading);
   ]]
   local CLOCK_MONOTONIC = 1
   local reading = ffi.new("struct clock_reading")
   local slot = nil

   local function now_ms()
      ffi.C.clock_gettime(CLOCK_MONOTONIC, reading)
      return tonumber(reading.seconds) * 1e3 + tonumber(reading.nanoseconds) / 1e6
   end

   function delay()
      local now = now_ms()
      slot = (slot or now) + 1e3 / rate
      return math.max(0, math.floor(slot - now + 0.5))
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
