-- How every bench prints: a heading, then a line per number: ours, the peer's,
-- their ratio, what is aimed at, whether it is reached. Times and sizes differ
-- between machines; a ratio of two that ran in turns says more.

local M = {}

local HEAD, LINE = "%-34s %12s %12s %7s  %s", "%-34s %12s %12s %7.2f  %-8s %s"

---@param list number[] it is sorted
function M.median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

---@param title string
---@param peer string what ours is measured against
function M.heading(title, peer)
  print(HEAD:format(title, "taskclient", peer, "ratio", "aim"))
end

--- aim: "<= 1.10", ">= 4" or "< 16"; the ratio is judged as it is given.
---@param what string
---@param ours string with its unit
---@param theirs string
---@param ratio number
---@param aim string
function M.line(what, ours, theirs, ratio, aim)
  local sign, limit = aim:match "^([<>]=?)%s*([%d.]+)$"
  limit = assert(tonumber(limit), aim)
  local fine
  if sign:sub(1, 1) == "<" then fine = ratio <= limit else fine = ratio >= limit end
  print((LINE:format("  " .. what, ours, theirs, ratio, aim, fine and "ok" or "MISSED")))
end

--- The output of a command, without the white space at its end.
function M.output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

--- A row that has no numbers, with the reason: never a pass.
function M.unmeasured(what, why)
  why = tostring(why):gsub("^%S+:%d+: ", ""):gsub("%s*\n.*", "")
  print(("  %s: not measured: %s"):format(what, why))
end

local Server = {}
Server.__index = Server

--- Builds the C program that is the peer, and starts it as the server of the benches. The program
--- is `server.bare`, the address `server.url`.
---@param bytes integer|nil of each answer, in place of a status
---@return table server
function M.server(bytes)
  local dir = M.output "mktemp -d"
  local bare = dir .. "/bare"
  local said = M.output(("cc -O2 -D_GNU_SOURCE -o %s spec/bench/bare.c -lcurl 2>&1"):format(bare))
  local input = assert(io.popen(("%s serve %d >%s/port"):format(bare, bytes or 0, dir), "w"))
  local port = M.output((
    "for i in $(seq 500); do test -s %s/port && break; sleep 0.02; done; cat %s/port"
  ):format(dir, dir))
  assert(port ~= "", "the server did not start: " .. said)
  return setmetatable({ dir = dir, bare = bare, input = input, port = port,
    url = "http://127.0.0.1:" .. port }, Server)
end

--- How many requests have come so far, but for these questions.
function Server:served()
  return assert(tonumber(M.output(("curl -s %s/served"):format(self.url))))
end

--- Runs `fn` and refuses its numbers where it did not make that many requests.
---@param wanted integer
---@param fn function
---@return any ... what it gives, two values at most
function Server:counted(wanted, fn, ...)
  local before = self:served()
  local a, b = fn(...)
  local made = self:served() - before
  assert(made == wanted, ("%d requests came to the server instead of %d"):format(made, wanted))
  return a, b
end

function Server:stop()
  self.input:close()
  os.execute("rm -rf " .. self.dir)
end

return M
