-- A result of 1,000,000 rows saved as CSV: memory above an idle client, and the
-- rate against a C program that only reads the same bytes with libcurl and writes
-- them to a file. Two servers: one as fast as memory, where the conversion shows,
-- and one at the speed of a fast disk. lua spec/bench/save.lua [rows]
-- And a log of 20,000 lines, followed.

local report = require "spec.bench.report"

local BACK_AIM, RATE_AIM = "<= 16", ">= 0.9" -- MiB above idle; the peer's rate
local PAGE = 5000
local RUNS = 3
local SPEEDS = { { 0, "no limit" }, { 100, "100 MB/s" } }

local median, output = report.median, report.output

local function memory(what)
  for line in io.lines "/proc/self/status" do
    local kb = line:match("^" .. what .. ":%s*(%d+)")
    if kb then return tonumber(kb) / 1024 end
  end
end

-- The measured process: saves, and prints seconds, rows, bytes and MiB above idle.
local function child(url, path)
  local core, taskclient = require "taskclient.core", require "taskclient"
  local client = assert(taskclient.linkis { url = url, user = "bench", token = "bench" })
  local rs = assert(client:attach(1):results())[1]
  assert(rs:columns())
  collectgarbage()
  collectgarbage()
  local idle, start = memory "VmRSS", core.now()
  local rows, bytes = assert(rs:save(path, { page_size = PAGE, overwrite = true }))
  print(("%.4f %d %d %.2f"):format(core.now() - start, rows, bytes, memory "VmHWM" - idle))
end

-- The log of a running job, followed: CPU microseconds a line.
local LINES, LINE_AIM = 20000, 1.5
local function follow(url)
  local client = assert(require("taskclient").linkis { url = url, user = "bench", token = "bench" })
  local from
  for _ = 1, 2 do -- the second time, when all is loaded
    from = os.clock()
    local cursor = client:attach(2):logs { follow = true }
    for _ = 1, LINES do assert(cursor:read()) end
  end
  print(("%.3f"):format((os.clock() - from) / LINES * 1e6))
end

if arg[1] == "child" then return child(arg[2], arg[3]) end
if arg[1] == "follow" then return follow(arg[2]) end

local rows = tonumber(arg[1]) or 1000000
local lua = arg[-1] or "lua"

local dir = output "mktemp -d"

local function compile(name, libraries)
  local program = dir .. "/" .. name
  output(("cc -O2 -o %s spec/bench/%s.c %s 2>&1"):format(program, name, libraries or ""))
  return program
end

local function read_port(path)
  for _ = 1, 1000 do
    local file = io.open(path, "rb")
    local port = file and file:read("*a"):match "^(%d+) %d+\n"
    if file then file:close() end
    if port then return port end
    output "sleep 0.01"
  end
  error "the page server did not start"
end

local function start_server(program, speed)
  os.remove(dir .. "/port")
  local pipe = assert(io.popen(("%s %d %d %d >%s/port"):format(program, rows, PAGE, speed, dir),
    "w"))
  return pipe, "http://127.0.0.1:" .. read_port(dir .. "/port")
end

local function peer(program, url)
  local pages = math.floor(rows / PAGE) + 1
  local seconds, bytes = output(("%s '%s/api/rest_j/v1/filesystem/openFile?path=file:///result/1/"
    .. "_0.dolphin&page=' %d %d %s/peer"):format(program, url, pages, PAGE, dir))
    :match "^(%S+) (%S+)"
  return tonumber(seconds), tonumber(bytes)
end

local function ours(url)
  local seconds, saved, _, above = output(("%s spec/bench/save.lua child %s %s/ours.csv"):format(
    lua, url, dir)):match "^(%S+) (%S+) (%S+) (%S+)"
  assert(tonumber(saved) == rows, "not all rows were saved")
  return tonumber(seconds), tonumber(above)
end

local function measure(speed, name, server, reader)
  local pipe, url = start_server(server, speed)
  local theirs, mine, above, bytes = {}, {}, {}, nil
  for run = 1, RUNS do
    theirs[run], bytes = peer(reader, url)
    mine[run], above[run] = ours(url)
  end
  pipe:close()
  local a, b = median(mine), median(theirs)
  report.line(("%d rows, %s"):format(rows, name), ("%.2f s"):format(a), ("%.2f s"):format(b),
    b / a, RATE_AIM)
  local mib = median(above)
  report.line("  MiB above an idle client", ("%.1f"):format(mib), "", mib, BACK_AIM)
  return bytes
end

local function run()
  local server, reader = compile "page_server", compile("read_pages", "-lcurl")
  report.heading("saving as CSV", "libcurl in C")
  local bytes
  for _, speed in ipairs(SPEEDS) do bytes = measure(speed[1], speed[2], server, reader) end
  local pipe, url = start_server(server, 0)
  local us = {}
  for i = 1, RUNS do
    us[i] = assert(tonumber(output(("%s spec/bench/save.lua follow %s"):format(lua, url))))
  end
  pipe:close()
  local each = median(us)
  report.line("CPU a line of a followed log", ("%.2f us"):format(each),
    ("%.2f us"):format(LINE_AIM), each / LINE_AIM, "<= 1.00")
  print(("  %.0f MB of replies; the peer converts nothing"):format(bytes / 1e6))
end

local ok, err = pcall(run)
output("rm -rf " .. dir)
if not ok then error(err, 0) end
