-- For wrk: bodies that differ in the numbers of order and patient, and every answer looked at.
-- Arguments: file of the body, first number, patients, and what a right answer holds.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local body = file:read("*a")
   file:close()
   number, patients, wanted = tonumber(args[2]), tonumber(args[3]), args[4]
   pieces, kinds, wrong = {}, {}, 0
   local from = 1
   while true do
      local order = string.find(body, "@@order@", from, true)
      local patient = string.find(body, "@patient", from, true)
      local at = order and patient and math.min(order, patient) or order or patient
      if not at then break end
      table.insert(pieces, string.sub(body, from, at - 1))
      table.insert(kinds, at == order)
      from = at + 8
   end
   tail = string.sub(body, from)
end

function request()
   number = number + 1
   local order = string.format("%08d", number)
   local patient = string.format("p%07d", number % patients)
   local made = {}
   for place, piece in ipairs(pieces) do
      made[2 * place - 1] = piece
      made[2 * place] = kinds[place] and order or patient
   end
   made[#made + 1] = tail
   return wrk.format("POST", nil, nil, table.concat(made))
end

function response(status, headers, body)
   if status ~= 200 or not string.find(body, wanted, 1, true) then wrong = wrong + 1 end
end

function done(summary, latency, requests)
   local failed, errors = 0, summary.errors
   for _, thread in ipairs(threads) do failed = failed + thread:get("wrong") end
   failed = failed + errors.connect + errors.read + errors.write + errors.timeout
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
