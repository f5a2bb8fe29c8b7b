// Command manifest holds files of Kubernetes objects against the schema: the types of
// k8s.io/api, read strictly, so that a key that is misspelt or in the wrong place is found.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

func main() {
	code := 0
	for _, name := range os.Args[1:] {
		if err := check(name); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			code = 1
		}
	}
	os.Exit(code)
}

// check reads every object of a file.
func check(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var errs []error
	for i, document := range bytes.Split(text, []byte("\n---\n")) {
		if err := checkObject(document); err != nil {
			errs = append(errs, fmt.Errorf("object %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

// checkObject reads one object as what it says that it is.
func checkObject(document []byte) error {
	var is metav1.TypeMeta
	if err := yaml.Unmarshal(document, &is); err != nil {
		return err
	}
	var object any
	switch is {
	case metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}:
		object = &corev1.ConfigMap{}
	case metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}:
		object = &corev1.Pod{}
	case metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}:
		object = &corev1.Service{}
	case metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}:
		object = &appsv1.Deployment{}
	default:
		return fmt.Errorf("no schema of %s in %s here", is.Kind, is.APIVersion)
	}
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	faults, err := json.UnmarshalStrict(text, object) // upper and lower case count, as with the API server
	return errors.Join(append(faults, err)...)
}
