-- Makes small slips in the code, one at a time, and runs the specs on each: a slip that no spec
-- notices is one that a user would have to find. Prints the slips that lived and the share that
-- was noticed, by folder. Works on a copy of the built tree.
-- lua5.4 .ci/mutants.lua [FILE …]; N slips (20), SEED (by default the day), SPECS (folders)

local N = tonumber(os.getenv "N") or 20
local SEED = tonumber(os.getenv "SEED") or os.time() // 86400
local SPECS = os.getenv "SPECS" or "spec/unit spec/traps spec/behaviour spec/fault"
local LIMIT = 1500 -- seconds for the specs of one slip; those that hang have noticed it

-- pattern -> replacement, tried in code outside of quotes and comments
local BOTH = {
  { " < ", " <= " }, { " <= ", " < " }, { " > ", " >= " }, { " >= ", " > " }, { " == ", " != " },
  { " %+ 1%f[%D]", " + 2" }, { " %- 1%f[%D]", "" }, { " %+ ", " - " }, { " %- ", " + " },
  { "%f[%w]true%f[%W]", "false" }, { "%f[%w]false%f[%W]", "true" },
}
local C = {
  { " != ", " == " }, { " && ", " || " }, { " || ", " && " }, { "if %(!", "if (" },
  { "if %(.+%) return", "if (0) return" }, { "^(%s+)[%w_]+ ?%b();$", "%1;" },
  { "^(%s+)[%w_>.%-]+ [|+]?= .+;$", "%1;" },
}
local LUA = {
  { " ~= ", " == " }, { " and ", " or " }, { " or ", " and " }, { "%f[%w]not ", "" },
  { "if .+ then return", "if false then return" }, { "%.min%(", ".max(" }, { "%.max%(", ".min(" },
  { "^(%s+)[%w_.:]+ ?%b()$", "%1" }, { "^(%s+)[%w_.]+%.[%w_]+ = .+$", "%1" },
}

local function output(command)
  local pipe = assert(io.popen(command .. " 2>&1", "r"))
  local text = pipe:read "a"
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

-- The line with what is quoted blanked out, so that patterns meet code alone.
local function code_of(line)
  local function blank(s) return ("\1"):rep(#s) end
  return (line:gsub('"[^"]*"', blank):gsub("'[^']*'", blank):gsub("%-%-.*$", blank)
    :gsub("/%*.-%*/", blank))
end

local function is_code(line)
  return line:find "%S" and not line:find "^%s*%-%-" and not line:find "^%s*/?%*"
    and not line:find "^#" and not line:find "^local [%w_, ]+ = require"
end

local function add_slips(found, path)
  local lua, n = path:find "%.lua$" ~= nil, 0
  for line in io.lines(path) do
    n = n + 1
    local code = is_code(line) and code_of(line) or ""
    for _, list in ipairs { BOTH, lua and LUA or C } do
      for _, slip in ipairs(list) do
        local from, to = code:find(slip[1])
        local by = lua and slip[2] == " != " and " ~= " or slip[2]
        if from then
          local changed = line:sub(from, to):gsub(slip[1], by, 1)
          found[#found + 1] = { path = path, n = n, old = line,
            new = line:sub(1, from - 1) .. changed .. line:sub(to + 1) }
        end
      end
    end
  end
end

local dir = output "mktemp -d"
local tree = dir .. "/tree"

local function run(command)
  return os.execute(("cd %s && TMPDIR=%s %s >/dev/null 2>&1"):format(tree, dir, command)) == true
end

local function build() return run "make -s CFLAGS='-O1 -w' all" end

local function verdict_of(slip)
  local path = tree .. "/" .. slip.path
  local text, n = read(path), 0
  write(path, (text:gsub("[^\n]*\n", function()
    n = n + 1
    return n == slip.n and slip.new .. "\n" or nil
  end)))
  local lua, verdict = slip.path:find "%.lua$", "noticed"
  if not (lua and loadfile(path) or not lua and build()) then
    verdict = "broken"
  elseif run(("timeout -k 5 %d busted --lua=lua5.4 --no-keep-going %s"):format(LIMIT, SPECS)) then
    verdict = "lived"
  end
  write(path, text)
  if not lua then build() end
  return verdict
end

local files, found = { table.unpack(arg) }, {}
if #files == 0 then
  for path in output "git ls-files 'src/*.c' 'lua/*.lua'":gmatch "%S+" do
    if not path:find "/sandbox/" then files[#files + 1] = path end
  end
end
for _, path in ipairs(files) do add_slips(found, path) end
math.randomseed(SEED)

assert(os.execute(("mkdir -p %s && git ls-files -z | xargs -0 cp --parents -t %s && "
  .. "cp -a build %s/build && { [ ! -d ../shared ] || ln -s $PWD/../shared %s/shared; }")
  :format(tree, tree, tree, dir)))
local sums = {}
io.stdout:setvbuf "line"
if not (build() and run(("timeout %d busted --lua=lua5.4 %s"):format(LIMIT, SPECS))) then
  print "the specs fail without any slip: nothing to compare with"
  os.execute("rm -rf " .. dir)
  os.exit(false)
end
while N > 0 and #found > 0 do
  local slip = table.remove(found, math.random(#found))
  local verdict = verdict_of(slip)
  if verdict ~= "broken" then
    local area = slip.path:match "^.*/"
    sums[area] = sums[area] or { lived = 0, noticed = 0 }
    sums[area][verdict] = sums[area][verdict] + 1
    print(("%s %s:%d\n  - %s\n  + %s"):format(verdict, slip.path, slip.n,
      slip.old:match "^%s*(.*)", slip.new:match "^%s*(.*)"))
    N = N - 1
  end
end
os.execute("rm -rf " .. dir)
local noticed, all = 0, 0
for area, sum in pairs(sums) do
  print(("%-32s %d of %d"):format(area, sum.noticed, sum.noticed + sum.lived))
  noticed, all = noticed + sum.noticed, all + sum.noticed + sum.lived
end
print(("%d of %d slips noticed (seed %d)"):format(noticed, all, SEED))
