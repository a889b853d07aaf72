// Command llmaz runs llmaz's own reconcilers against one kubeconfig.
//
// llmaz's manager cannot run outside a cluster: it waits for certificates that only a mounted
// Secret brings. Its reconcilers need none of that. Its webhooks, which fill in labels and
// validate, are left out; so are metrics, probes and leader election, for there is one process.
package main

import (
	"flag"
	"log"

	coreapi "github.com/inftyai/llmaz/api/core/v1alpha1"
	inferenceapi "github.com/inftyai/llmaz/api/inference/v1alpha1"
	core "github.com/inftyai/llmaz/pkg/controller/core"
	"github.com/inftyai/llmaz/pkg/controller/inference"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	lws "sigs.k8s.io/lws/api/leaderworkerset/v1"
)

type reconciler interface {
	SetupWithManager(ctrl.Manager) error
}

func main() {
	// controller-runtime has already defined --kubeconfig; its value is looked up below.
	flag.Parse()
	ctrl.SetLogger(klog.Background())
	if err := run(flag.Lookup("kubeconfig").Value.String()); err != nil {
		log.Fatal(err)
	}
}

func run(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000 // the defaults of 20 and 30 would pace 20 replicas
	scheme := runtime.NewScheme()
	add := []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, coreapi.AddToScheme, inferenceapi.AddToScheme, lws.AddToScheme,
	}
	for _, to := range add {
		if err := to(scheme); err != nil {
			return err
		}
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Metrics: metrics.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	client, events := manager.GetClient(), manager.GetEventRecorderFor("llmaz")
	for _, each := range []reconciler{
		core.NewModelReconciler(client, scheme, events),
		inference.NewPlaygroundReconciler(client, scheme, events),
		inference.NewServiceReconciler(client, scheme, events),
		&inference.BackendRuntimeReconciler{Client: client, Scheme: scheme},
	} {
		if err := each.SetupWithManager(manager); err != nil {
			return err
		}
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
