-- Runs the benches and says on what: `make bench`, or `make bench BENCH="decode
-- calls"` for some of them, or `make bench COUNT=1` for counts of instructions. Each is a script
-- of its own in this folder that prints by report.lua; those that are not stand in OTHERS.

local report = require "spec.bench.report"

local OTHERS = { run = true, report = true, lua_curl = true, nginx_side = true, count = true }
local lua = arg[-1] or "lua"

local function first_line(command)
  return report.output(command .. " 2>/dev/null | head -n 1")
end

local function package_version(name)
  local version = first_line("dpkg-query -W -f='${Version}' " .. name)
  return name .. " " .. (version ~= "" and version or "not found")
end

local function machine()
  local model = first_line "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo"
  print(("%s, %s cores, load %s"):format(model ~= "" and model or first_line "uname -m",
    first_line "nproc", first_line "cut -d' ' -f1 /proc/loadavg"))
  print(("%s; %s; %s"):format(first_line(". /etc/os-release && echo $PRETTY_NAME"),
    first_line(lua .. " -v 2>&1"):match "^%S+ %S+" or lua, first_line "cc --version"))
  print(table.concat({ package_version "libcurl4", package_version "lua-cjson",
    package_version "lua-curl" }, "; "))
end

local function chosen()
  local names = {}
  for i = 1, #arg do names[i] = arg[i] end
  if #names > 0 then return names end
  for file in report.output("ls spec/bench"):gmatch "([%w_]+)%.lua" do
    if not OTHERS[file] then names[#names + 1] = file end
  end
  return names
end

local missed, failed, unmeasured = 0, 0, 0

local function run(name)
  local pipe = assert(io.popen(("%s spec/bench/%s.lua 2>&1; echo \"ended $?\""):format(lua, name)))
  for line in pipe:lines() do
    local code = line:match "^ended (%d+)$"
    if not code then
      print(line)
      if line:find "MISSED$" then missed = missed + 1 end
      if line:find "not measured" then unmeasured = unmeasured + 1 end
    elseif code ~= "0" then
      print(name .. " failed")
      failed = failed + 1
    end
  end
  pipe:close()
end

io.stdout:setvbuf "line"
machine()
for _, name in ipairs(chosen()) do
  print ""
  run(name)
end
print ""
print(("%d missed, %d failed, %d not measured"):format(missed, failed, unmeasured))
os.exit(failed == 0)
