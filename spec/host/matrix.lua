-- The behaviour specs in every host under every Lua where both are: each pair
-- a process of its own, some at a time. Prints a table of what passed.

local M = {}

local HOSTS = { "plain", "loop", "luv", "cqueues", "copas", "nginx", "nginx-tick" }
local LUAS = { "lua5.1", "lua5.2", "lua5.3", "lua5.4", "lua5.5", "luajit" }
local AT_ONCE = 8 -- they wait most of the time
local unpack = table.unpack -- luacheck: ignore 143
local LIMIT = 600 -- seconds for one pair

local NEEDS = { luv = "luv", cqueues = "cqueues", copas = "copas" }

local function build() return os.getenv "TASKCLIENT_BUILD" or "build" end

local function environment(lua)
  return ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./%s/%s/?.so;;'")
    :format(build(), lua)
end

local function succeeds(command) return (os.execute(command .. " >/dev/null 2>&1")) end

-- Can that Lua load our core and the host's library?
local function there(host, lua)
  if host:find "^nginx" then
    return lua == "luajit" and succeeds "test -e build/nginx -o -n \"$TASKCLIENT_NGINX\""
  end
  local code = "require 'taskclient.core'"
  if NEEDS[host] then code = code .. " require '" .. NEEDS[host] .. "'" end
  return succeeds(('%s %s -e "%s"'):format(environment(lua), lua, code))
end

local function pairs_of_both()
  local list = {}
  for _, host in ipairs(HOSTS) do
    for _, lua in ipairs(LUAS) do
      if there(host, lua) then list[#list + 1] = { host = host, lua = lua } end
    end
  end
  return list
end

local function run_all(list, dir)
  local jobs = dir .. "/jobs"
  local file = assert(io.open(jobs, "w"))
  for i, pair in ipairs(list) do
    local runner = pair.host:find "^nginx" and "lua5.4" or pair.lua
    -- told in the file, for xargs gives all up after one that exits with 255
    file:write(("TMPDIR=%s %s timeout -k 5 %d %s spec/host/one.lua %s >%s/%d 2>&1 "
      .. "|| echo exit $? >>%s/%d\n"):format(dir, environment(runner), LIMIT, runner, pair.host,
        dir, i, dir, i))
  end
  file:close()
  os.execute(("tr '\\n' '\\0' <%s | xargs -0 -P %d -n 1 sh -c"):format(jobs, AT_ONCE))
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function take(pair, text, sum)
  local report, passed, failed, skipped = text:match "^(.-)(%d+) (%d+) (%d+)\n$"
  pair.passed, pair.failed = tonumber(passed) or 0, tonumber(failed) or 1
  pair.skipped = tonumber(skipped) or 0
  for _, what in ipairs { "passed", "failed", "skipped" } do sum[what] = sum[what] + pair[what] end
  if pair.failed > 0 then
    print(("FAILED in the host %s under %s:\n%s"):format(pair.host, pair.lua, report or text))
  end
end

local function show(list)
  local cells = {}
  for _, pair in ipairs(list) do
    cells[pair.host .. pair.lua] = pair.failed == 0 and tostring(pair.passed)
      or ("%d, %d failed"):format(pair.passed, pair.failed)
  end
  print(("%-12s"):format "host" .. (("%12s"):rep(#LUAS)):format(unpack(LUAS)))
  for _, host in ipairs(HOSTS) do
    local row = {}
    for i, lua in ipairs(LUAS) do row[i] = cells[host .. lua] or "-" end
    print(("%-12s"):format(host) .. (("%12s"):rep(#LUAS)):format(unpack(row)))
  end
end

---@param scratch string a folder for what is put aside
---@return table sum passed, failed, skipped over all pairs
function M.run(scratch)
  local sum = { passed = 0, failed = 0, skipped = 0 }
  local dir = scratch .. "/matrix"
  os.execute("mkdir " .. dir)
  local list = pairs_of_both()
  run_all(list, dir)
  for i, pair in ipairs(list) do take(pair, read(dir .. "/" .. i), sum) end
  show(list)
  return sum
end

return M
