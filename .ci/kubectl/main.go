// Command kubectl is a current kubectl, for machines that have none or an old
// one. It has a module of its own, so that its dependencies are not the
// programs'.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }
