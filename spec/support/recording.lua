-- Recorded exchanges of a real server: their files parsed, their requests sent again byte by byte.
-- Knows the recordings' format and raw HTTP; judges nothing.

local uv = require "luv"

local M = {}

---The folder of recordings, or nil.
function M.folder()
  local path = os.getenv "TASKCLIENT_RECORDINGS" or "../shared/recordings"
  local file = io.open(path .. "/01-login-ok.txt")
  if not file then return nil end
  file:close()
  return path
end

---The names of all recordings, in order.
function M.names(folder)
  local names = {}
  for name in io.popen("ls " .. folder):lines() do
    if name:find "^%d.*%.txt$" then names[#names + 1] = (name:gsub("%.txt$", "")) end
  end
  return names
end

local function parse_headers(text)
  local list = {}
  for name, value in text:gmatch "\n([^:\n]+):[ ]?([^\n]*)" do
    list[#list + 1] = { name = name, value = value }
  end
  return list
end

local function request_of(text)
  local line, rest = text:match "^([^\n]*)(.*)$"
  local head, body = rest:match "^(.-)\n\n(.*)$"
  local request = { line = line, headers = parse_headers(head or rest), body = "" }
  request.method, request.target = line:match "^(%S+) (%S+)"
  for _, header in ipairs(request.headers) do
    if header.name:lower() == "content-length" then
      request.length = tonumber(header.value)
      request.body = body:sub(1, request.length)
    end
  end
  return request
end

local function reply_of(text)
  local note, rest = text:match "^([^\n]*)\n(.*)$"
  if not rest or not rest:find "^HTTP/" then return nil end
  local head, body = (rest .. "\n"):match "^(.-)\n\n(.*)$"
  body = (body or ""):gsub("%s+$", "")
  local reply = { code = tonumber(head:match "^%S+ (%d+)"), headers = parse_headers("\n" .. head),
    chunked = note:find("chunked", 1, true) ~= nil }
  if body == "[empty body]" then body = "" end
  reply.bytes = body:match "^%[(%d+) bytes"
  if body:find "%[%.%.%. %d+ characters in all%]$" then
    reply.cut = true
    body = body:gsub("\n?%[%.%.%. %d+ characters in all%]$", "")
  end
  reply.body = body
  return reply
end

---The steps of one recording: exchanges ({request=, reply=}) and remarks (texts).
function M.steps(folder, name)
  local file = assert(io.open(folder .. "/" .. name .. ".txt", "rb"))
  local text = "\n" .. file:read "*a" .. "\n"
  file:close()
  local steps, at = {}, 1
  while true do
    local from, to = text:find("\n%-%-> at [%d.]+ s\n", at)
    local remarks = text:sub(at, (from or #text) - 1)
    for line in remarks:gmatch "\n#([^\n]*)" do steps[#steps + 1] = line end
    if not from then break end
    local _, arrow = text:find("\n<%-%- ", to)
    local finish = text:find("\n\n%-%-> at", arrow) or #text
    local remark = text:find("\n\n#", arrow)
    if remark and remark < finish then finish = remark end
    steps[#steps + 1] = { request = request_of(text:sub(to + 1, arrow - 4)),
      reply = reply_of(text:sub(arrow + 1, finish - 1)) }
    at = finish
  end
  return steps
end

local function dechunk(body)
  local out, at = {}, 1
  while true do
    local size, start = body:match("^(%x+)[^\r\n]*\r\n()", at)
    size = tonumber(size or "0", 16)
    if size == 0 then return table.concat(out) end
    out[#out + 1] = body:sub(start, start + size - 1)
    at = start + size + 2
  end
end

local function parse(text)
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  if not head then return nil, "no reply" end
  local reply = { code = tonumber(head:match "^%S+ (%d+)"), headers = parse_headers("\n"
    .. head:gsub("\r", "")) }
  reply.chunked = head:lower():find("transfer-encoding: chunked", 1, true) ~= nil
  reply.body = reply.chunked and dechunk(body) or body
  return reply
end

---Sends a request on a connection of its own and reads to its end.
---@return table? reply code, headers (list), body, chunked
function M.send(port, request, limit)
  local socket, timer, pieces, failed, done = uv.new_tcp(), uv.new_timer(), {}, nil, false
  local function finish(reason)
    failed, done = failed or reason, true
  end
  local lines = { request.line }
  for _, header in ipairs(request.headers) do lines[#lines + 1] = header.name .. ": "
    .. header.value end
  uv.update_time() -- the loop's clock stands still between two runs
  timer:start((limit or 30) * 1000, 0, function() finish "timeout" end)
  socket:connect("127.0.0.1", port, function(err)
    if err then return finish(err) end
    socket:write(table.concat(lines, "\r\n") .. "\r\n\r\n" .. request.body)
    socket:read_start(function(read_err, piece)
      if piece then pieces[#pieces + 1] = piece else finish(read_err) end
    end)
  end)
  while not done do uv.run "once" end
  timer:close()
  socket:close()
  uv.run "nowait"
  if failed and #pieces == 0 then return nil, failed end
  return parse(table.concat(pieces))
end

return M
