-- Runs the specs: one busted per Lua, and sums them up in the last line.
-- lua5.4 spec/run.lua [--only LUA] [spec path …]
-- Knows which specs run under which Lua; knows nothing of what they test.

local BUSTED = "/usr/bin/busted"
-- seconds for one busted; sanitizers have a build of their own, and are slow
local LIMIT = os.getenv "TASKCLIENT_TORTURE" and 14400 or os.getenv "TASKCLIENT_BUILD" and 3600
  or 2400

local RUNS = {
  { lua = "lua5.4",
    paths = { "spec/unit", "spec/fault", "spec/sandbox", "spec/behaviour", "spec/traps",
      "spec/host", "spec/docs" } },
  { lua = "luajit", paths = { "spec/unit" } },
  { lua = "lua5.1", paths = { "spec/unit" } },
}

local function output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function succeeds(command)
  return (os.execute(command .. " >/dev/null 2>&1"))
end

local function busted_path()
  local found = output "command -v busted"
  return found ~= "" and found or BUSTED
end

local function arguments()
  local only, paths = nil, {}
  local i = 1
  while arg[i] do
    if arg[i] == "--only" then
      only, i = arg[i + 1], i + 1
    else
      paths[#paths + 1] = arg[i]
    end
    i = i + 1
  end
  return only, #paths > 0 and paths or nil
end

-- Only folders that hold a spec: busted takes an empty one for an error.
local function with_specs(paths)
  local kept = {}
  for _, path in ipairs(paths) do
    if output(("find %s -name '*_spec.lua' 2>/dev/null | head -n 1"):format(path)) ~= "" then
      kept[#kept + 1] = path
    end
  end
  return kept
end

local sum = { passed = 0, failed = 0, skipped = 0 }
local failures = {} -- told again at the end

local function count(what, n) sum[what] = sum[what] + n end

-- Does the module load at all under this Lua? One test of its own.
local function smoke(lua)
  local build = (os.getenv "TASKCLIENT_BUILD" or "build") .. "/" .. lua
  local code = ("package.path='./lua/?.lua;./lua/?/init.lua;'..package.path "
    .. "package.cpath='./%s/?.so;'..package.cpath "
    .. "assert(type(require('taskclient.core').version)=='string') "
    .. "assert(type(require('taskclient').version)=='string')"):format(build)
  local ok = os.execute(lua .. ' -e "' .. code .. '" 2>&1')
  print(("%-6s    1  require \"taskclient\" under %s"):format(ok and "ok" or "FAILED", lua))
  count(ok and "passed" or "failed", 1)
end

-- What the specs put aside goes with this folder. Others may look into theirs: nginx does.
local scratch = output "mktemp -d"
os.execute("chmod 711 " .. scratch)

-- Starts busted; its output waits in the pipe until `finish` reads it.
local function start(lua, paths)
  local sum_file = scratch .. "/sum-" .. lua
  local pipe = assert(io.popen((
    "TMPDIR=%s TASKCLIENT_SUM=%s timeout -k 10 %d %s %s --output=spec/support/report.lua %s 2>&1"
  ):format(scratch, sum_file, LIMIT, lua, busted_path(), table.concat(paths, " "))))
  return { lua = lua, pipe = pipe, sum_file = sum_file }
end

local function read_sum(run)
  local file = io.open(run.sum_file)
  if not file then return end
  local passed, failed, skipped = file:read("n", "n", "n")
  for name in file:lines() do
    if name ~= "" then failures[#failures + 1] = ("FAILED under %s: %s"):format(run.lua, name) end
  end
  file:close()
  os.remove(run.sum_file)
  return passed, failed, skipped
end

local function finish(run)
  for line in run.pipe:lines() do print(line) end
  local _, why, code = run.pipe:close()
  local passed, failed, skipped = read_sum(run)
  if not skipped then
    failures[#failures + 1] = ("FAILED busted under %s ended early (%s %s)"):format(run.lua, why,
      code)
    passed, failed, skipped = 0, 1, 0
  elseif failed == 0 and code ~= 0 then
    failures[#failures + 1] = ("FAILED busted under %s: %s %s after its last test"):format(
      run.lua, why, code)
    failed = 1
  end
  count("passed", passed)
  count("failed", failed)
  count("skipped", skipped)
end

io.stdout:setvbuf "line"
local only, chosen = arguments()
local started = {} -- all at once, for specs wait more than they work; read in turn
for _, entry in ipairs(RUNS) do
  if (not only or only == entry.lua) and succeeds("command -v " .. entry.lua) then
    local paths = with_specs(chosen or entry.paths)
    started[entry] = #paths > 0 and start(entry.lua, paths) or nil
  end
end
for _, entry in ipairs(RUNS) do
  if not only or only == entry.lua then
    print("== " .. entry.lua)
    if succeeds("command -v " .. entry.lua) then
      smoke(entry.lua)
      if started[entry] then finish(started[entry]) end
    else
      print(entry.lua .. " is not installed: skipped")
      count("skipped", 1)
    end
  end
end
if not only and not chosen then
  print "== the behaviour specs in every host (passed)"
  package.path = "./?.lua;" .. package.path
  for what, n in pairs(require("spec.host.matrix").run(scratch)) do count(what, n) end
end
os.execute("rm -rf " .. scratch)
for _, failure in ipairs(failures) do print(failure) end
local line = ("%d passed, %d failed%s"):format(sum.passed, sum.failed,
  sum.skipped > 0 and (", %d skipped"):format(sum.skipped) or "")
local result = io.open("build/result", "w") -- make adds words of its own; .ci/run ends with ours
if result then result:write(line, "\n"):close() end
print(line)
os.exit(sum.failed == 0 and sum.passed > 0)
