-- Sums up what `make coverage` has run: lines and branches of the C core by gcov, lines of lua/
-- by .ci/cover_lua.lua; by file, with the places that nothing reached.
-- lua5.4 .ci/coverage.lua BUILD COVER_DIR [-v]

local build, dir, verbose = arg[1], arg[2], arg[3] == "-v"

local function lines_of(command)
  return assert(io.popen(command .. " 2>/dev/null", "r")):lines()
end

local function row(name, got, all, more)
  print(("%-44s %5d of %5d  %5.1f %%%s"):format(name, got, all, all > 0 and got / all * 100 or 100,
    more or ""))
end

local function list(places)
  if verbose and #places > 0 then print("    not reached: " .. table.concat(places, " ")) end
end

-- ---- C ----

local sum = { got = 0, all = 0, branches = 0, taken = 0 }

local function c_file(path)
  local got, all, branches, taken, missed = 0, 0, 0, 0, {}
  local object = build .. "/lua5.4/obj/" .. path:gsub("^src/", ""):gsub("%.c$", ".o")
  for line in lines_of(("gcov -b -c -t -o %s %s"):format(object, path)) do
    local count, n = line:match "^%s*([%d#=*%-]+):%s*(%d+):"
    if line:find "^%s*%-:%s*0:Source:" and not line:find(path, 1, true) then break end
    if count and count ~= "-" then
      all = all + 1
      if count:find "^[#=]" then missed[#missed + 1] = n else got = got + 1 end
    elseif line:find "^branch" then
      branches = branches + 1
      if not line:find "never executed" and not line:find "taken 0" then taken = taken + 1 end
    end
  end
  row(path, got, all, ("   branches %d of %d"):format(taken, branches))
  list(missed)
  sum.got, sum.all = sum.got + got, sum.all + all
  sum.branches, sum.taken = sum.branches + branches, sum.taken + taken
end

for path in lines_of "git ls-files 'src/*.c'" do c_file(path) end
row("src", sum.got, sum.all, ("   branches %d of %d, %.1f %%"):format(sum.taken, sum.branches,
  sum.branches > 0 and sum.taken / sum.branches * 100 or 100))

-- ---- Lua ----

local seen = {}
for line in lines_of("cat " .. dir .. "/*") do
  local path, n = line:match "^(.*):(%d+)$"
  seen[path] = seen[path] or {}
  seen[path][tonumber(n)] = true
end

-- The lines of a file that can run, by the compiler's own list.
local function active(path)
  local found = {}
  for line in lines_of("luac5.4 -p -l -l " .. path) do
    local n = line:match "^%s+%d+%s+%[(%d+)%]%s+%u"
    if n then found[tonumber(n)] = true end
  end
  return found
end

local got, all = 0, 0
for path in lines_of "git ls-files 'lua/*.lua'" do
  if not path:find "/sandbox/" then
    local here, total, missed = 0, 0, {}
    for n in pairs(active(path)) do
      total = total + 1
      if seen[path] and seen[path][n] then here = here + 1 else missed[#missed + 1] = n end
    end
    table.sort(missed)
    row(path, here, total)
    list(missed)
    got, all = got + here, all + total
  end
end
row("lua (without the sandbox)", got, all)
