package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/nomad/api"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	check(err)
	job := api.NewBatchJob("go", "go", "global", 50).AddDatacenter("*")
	task := api.NewTask("t", "raw_exec").SetConfig("command", "/bin/sh").SetConfig("args", []string{"-c", "echo from go; sleep 1; echo the end"})
	task.Require(&api.Resources{CPU: ptr(10), MemoryMB: ptr(10)})
	job.AddTaskGroup(api.NewTaskGroup("g", 1).AddTask(task))
	_, _, err = client.Jobs().Register(job, nil)
	check(err)
	var alloc *api.Allocation
	for range 300 {
		stubs, _, err := client.Jobs().Allocations("go", false, nil)
		check(err)
		if len(stubs) == 1 && stubs[0].ClientStatus == "running" {
			alloc, _, err = client.Allocations().Info(stubs[0].ID, nil)
			check(err)
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	frames, errors := client.AllocFS().Logs(alloc, true, "t", "stdout", "start", 0, nil, nil)
	for {
		select {
		case frame, more := <-frames:
			if !more {
				return
			}
			os.Stdout.Write(frame.Data)
		case err := <-errors:
			if err != io.EOF {
				check(err)
			}
			return
		}
	}
}

func ptr(value int) *int { return &value }
