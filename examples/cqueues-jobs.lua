-- Three jobs side by side in a cqueues controller, beside a coroutine of the
-- program's own.  Environment as in luv-jobs.lua.

local cqueues = require "cqueues"
local taskclient = require "taskclient"

local client = assert(taskclient.linkis { host = "cqueues" })
local queue = cqueues.new()
local open = 3

for n = 1, open do
  queue:wrap(function()
    local job = assert(client:submit {
      code = ("echo job %d; sleep 1; echo done"):format(n), run_type = "shell", engine = "shell-1",
    })
    for line in job:logs { follow = true } do
      if line == "done" then print(("job %d says done"):format(n)) end
    end
    print(("job %d: %s"):format(n, (job:wait { poll = 0.2 })))
    open = open - 1
  end)
end

local ticks = 0
queue:wrap(function()
  while open > 0 do
    cqueues.sleep(0.1)
    ticks = ticks + 1
  end
end)

assert(queue:loop())
print(("the controller has ended; its own coroutine ran meanwhile: %s"):format(tostring(ticks > 5)))
