-- The part of the house style that a script can check (`make lint`): widths,
-- white space, an opening comment, sizes, words that have no place here.

local LIMITS = { c = 90, h = 90, lua = 100 }
local LONGEST_FILE = 600
local LONGEST_FUNCTION = 70 -- lines of C
local UNWANTED = { "TODO", "FIXME", "XXX", "HACK" }

local complaints = 0

local function complain(path, line, text)
  complaints = complaints + 1
  print(("%s:%d: %s"):format(path, line, text))
end

local function check_line(path, n, line, limit)
  local width = utf8.len(line) or #line
  if width > limit then complain(path, n, ("%d columns, at most %d"):format(width, limit)) end
  if line:find "%s$" then complain(path, n, "white space at the end") end
  if line:find "\t" then complain(path, n, "a tab") end
  for _, word in ipairs(UNWANTED) do
    if line:find("%f[%w]" .. word .. "%f[%W]") then complain(path, n, word) end
  end
end

local function check_file(path, extension)
  local n, opened = 0, nil
  for line in io.lines(path) do
    n = n + 1
    check_line(path, n, line, LIMITS[extension])
    if n == 1 and not (line:find "^/%*" or line:find "^%-%-" or line:find "^#!") then
      complain(path, n, "the file does not open with what it is for")
    end
    if extension == "c" and line == "{" then opened = n end
    if extension == "c" and line == "}" and opened then
      if n - opened > LONGEST_FUNCTION then
        complain(path, opened, ("a function of %d lines"):format(n - opened))
      end
      opened = nil
    end
  end
  if n > LONGEST_FILE then complain(path, n, "a file of more than " .. LONGEST_FILE .. " lines") end
end

local list = assert(io.popen "find src lua spec examples .ci -type f | sort")
for path in list:lines() do
  local extension = path:match "%.(%w+)$"
  if LIMITS[extension] and not path:find "style%.lua$" then check_file(path, extension) end
end
list:close()
print(complaints == 0 and "style: fine" or complaints .. " complaints about style")
os.exit(complaints == 0)
