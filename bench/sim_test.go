package main
import ("testing";"fmt"
"github.com/memwarden/memwarden/bench/internal/caches"
"github.com/memwarden/memwarden/bench/internal/traces")
func TestSim(t *testing.T){ all,err:=traces.All("testdata/traces"); if err!=nil{t.Fatal(err)}
 for _,tr:=range all { for _,div:=range []int{4,2,1}{ cap:=tr.Capacity/div*2; if tr.Keys[0]==tr.Keys[1] && false {}; s:=fmt.Sprintf("%-26s %5d ",tr.Name,cap)
  for _,k:=range caches.All(){ if k.Name=="freecache"||(!k.Ours && onlyOurs) {continue}; c,err:=k.New(cap,true); if err!=nil{t.Fatal(err)}; hits:=0
   for _,key:=range tr.Keys { if c.Get(key){hits++}else{c.Set(key)} }
   c.Close(); s+=fmt.Sprintf(" %s %.2f",k.Name[:3]+k.Name[len(k.Name)-3:],100*float64(hits)/float64(len(tr.Keys))) }
  fmt.Println(s)}}}
var onlyOurs=false
